"""The pytest plugin: tests that say how much GPU memory they may take, run on an emulated card or a real one.

Installed with membench and inert until used: a test marked ``@pytest.mark.cuda_memory(limit="2GiB",
device="a100-40gb")`` runs in a process of its own whose CUDA device is that card; nothing happens to other tests, and
no PyTorch is imported in the process that collects.
"""

import os
from typing import TYPE_CHECKING

import pytest

from membench.pytest_plugin.names import BASELINE_OPTIONS, FOLDER, MARK, MARKER_LINE

if TYPE_CHECKING:
    from membench.pytest_plugin.child import CudaMemory


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("membench", "GPU memory of tests (membench)")
    group.addoption(
        "--membench-baseline", metavar="FILE", help="compare the peaks of all marked tests with this baseline"
    )
    group.addoption(
        "--membench-update", action="store_true", help="write the peaks of the marked tests that passed to the baseline"
    )
    group.addoption(
        "--membench-fail-on",
        action="append",
        default=[],
        metavar="METRIC:SIZE",
        help="growth over the baseline that is allowed, such as peak:5%% or reserved:64MiB; repeatable",
    )
    group.addoption(
        "--membench-allow-environment-change",
        action="store_true",
        help="compare although the baseline is from another environment",
    )
    group.addoption(
        "--membench-args", metavar="ARGS", default="", help="more arguments for the pytest that runs a marked test"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER_LINE)
    if FOLDER in os.environ:
        from membench.pytest_plugin.child import Child

        config.pluginmanager.register(Child(config, os.environ[FOLDER]), "membench-child")
    elif any(config.getoption(option) for option in BASELINE_OPTIONS):
        from membench.pytest_plugin.baseline import Keeper

        config.pluginmanager.register(Keeper(config), "membench-baseline")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if item.get_closest_marker(MARK) is None or FOLDER in os.environ:
        return None
    from membench.pytest_plugin.parent import run_apart

    run_apart(item, nextitem)
    return True


@pytest.fixture
def cuda_memory(request: pytest.FixtureRequest) -> "CudaMemory":
    """The GPU memory of this test so far, which must be marked ``cuda_memory``."""
    child = request.config.pluginmanager.get_plugin("membench-child")
    if child is None:
        raise pytest.UsageError(f"the fixture cuda_memory is for tests that are marked @pytest.mark.{MARK}")
    return child.memory  # type: ignore[no-any-return]
