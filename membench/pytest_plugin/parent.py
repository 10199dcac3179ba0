"""Running one marked test in a process of its own: a pytest of one test, in the environment of the device."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from membench.device import Device
from membench.errors import MembenchError
from membench.pytest_plugin.marked import Marked, memory_of, read_mark
from membench.pytest_plugin.names import DEVICE, FOLDER, RECORD, REPORTS, SNAPSHOT
from membench.pytest_plugin.words import peak_table

_TAIL = 8000  # characters of what a process printed that are shown when it died


class _DiedError(Exception):
    """The process ended without a report of the test."""


def run_apart(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run the test's set-up, call and tear-down in another process, and report them here as if they had run here."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in [*_reports(item), *_torn_down(item, nextitem)]:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _reports(item: pytest.Item) -> list[pytest.TestReport]:
    found: list[pytest.TestReport] = []
    # Whatever is raised, by another plugin's time limit too, is this test's failure; Ctrl-C is not, and goes on.
    call = pytest.CallInfo.from_call(
        lambda: _run(item, found), when="call", reraise=(KeyboardInterrupt, pytest.exit.Exception)
    )
    if call.excinfo is not None:
        failed = pytest.TestReport.from_item_and_call(item, call)
        if call.excinfo.errisinstance((MembenchError, _DiedError)):
            failed.longrepr = str(call.excinfo.value)
        found = [report for report in found if report.when == "setup" and report.passed] + [failed]
    return found


def _run(item: pytest.Item, found: list[pytest.TestReport]) -> None:
    marked = read_mark(item)
    device = marked.find_device()
    with tempfile.TemporaryDirectory(prefix="membench-") as folder:
        ended, printed = _child(item, marked, device, folder)
        found += _read(item, Path(folder))
        if not any(report.when == "teardown" for report in found):
            raise _DiedError(f"the process of the test {ended}{printed}")
    for report in found:
        memory = memory_of(report)
        if report.failed and memory is not None and memory.exceeded:
            _explain(item, marked, device, report)


def _child(
    item: pytest.Item, marked: Marked, device: Device, folder: str, more: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, str]:
    """Run the test in a process, which leaves its files in a folder; how it ended, and the end of what it printed."""
    environment = {**os.environ, **device.environment, **more, FOLDER: folder, "PYTEST_ADDOPTS": ""}
    # An emulated card looks like a real one from inside; so the process is told.
    (Path(folder) / DEVICE).write_bytes(msgspec.json.encode(device.info))
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [sys.executable, *_safe_path(), "-m", "pytest", *_arguments(item)],
            cwd=item.config.invocation_params.dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,  # so that what the test itself starts can be ended with it
        )
        try:
            ended = _ending(process.wait(marked.timeout))
        except subprocess.TimeoutExpired:
            ended = f"did not end within {marked.timeout:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed.seek(0)
        tail = printed.read().decode(errors="replace")[-_TAIL:].strip()
    return ended, f"; it printed last:\n{tail}" if tail else ""


def _safe_path() -> list[str]:
    """``pytest`` imports nothing from the working folder, ``python -m pytest`` does; the process does as this one."""
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]


def _arguments(item: pytest.Item) -> list[str]:
    """Those that decide how a test is collected. The rest, in ``addopts`` too, is for the run as a whole."""
    config, option = item.config, item.config.option
    path, _, name = item.nodeid.partition("::")
    test = str(config.rootpath / path) + (f"::{name}" if name else "")
    arguments = ["-q", f"--rootdir={config.rootpath}", "-o", "addopts=", "-p", "no:cacheprovider"]
    arguments += ["-c", str(config.inipath)] if config.inipath else []
    arguments += [word for plugin in option.plugins for word in ("-p", plugin)]
    arguments += [word for setting in option.override_ini or () for word in ("-o", setting)]
    arguments += [word for setting in option.pythonwarnings or () for word in ("-W", setting)]
    arguments += [f"--import-mode={option.importmode}", f"--tb={option.tbstyle}"]
    return [*arguments, *_baseline_arguments(config), *shlex.split(option.membench_args), test]


def _baseline_arguments(config: pytest.Config) -> list[str]:
    """Nothing where the baseline is to be written: it may not be there yet, and decides nothing."""
    option = config.option
    if not option.membench_baseline or option.membench_update:
        return []
    arguments = [f"--membench-baseline={config.invocation_params.dir / option.membench_baseline}"]
    arguments += [f"--membench-fail-on={threshold}" for threshold in option.membench_fail_on]
    return arguments + ["--membench-allow-environment-change"] * option.membench_allow_environment_change


def _read(item: pytest.Item, folder: Path) -> list[pytest.TestReport]:
    """The reports that the process wrote before it ended."""
    file = folder / REPORTS
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [_report(item, json.loads(line)) for line in lines if line.endswith("}")]


def _report(item: pytest.Item, data: dict[str, Any]) -> pytest.TestReport:
    for name in ("user_properties", "sections"):  # JSON has no tuples
        data[name] = [tuple(pair) for pair in data.get(name, ())]
    if isinstance(data.get("longrepr"), list):  # where and why it was skipped
        data["longrepr"] = tuple(data["longrepr"])
    data.update(nodeid=item.nodeid, location=item.location)
    report: pytest.TestReport = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
    return report


def _explain(item: pytest.Item, marked: Marked, device: Device, report: pytest.TestReport) -> None:
    """Run the test again, recorded, and add to its report who held the peak: recording is not free of cost."""
    with tempfile.TemporaryDirectory(prefix="membench-") as folder:
        _child(item, marked, device, folder, {RECORD: "1"})
        try:
            table = peak_table(Path(folder) / SNAPSHOT)
        except MembenchError as error:
            table = f"not known: {error}"
    add = getattr(report.longrepr, "addsection", None)
    if add is not None:
        add("GPU memory at the peak", table)


def _torn_down(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """End here what only tests before this one needed, as the end of any test does; tells only of a failure."""
    stack = item.session._setupstate
    call = pytest.CallInfo.from_call(
        lambda: stack.teardown_exact(nextitem), when="teardown", reraise=(KeyboardInterrupt, pytest.exit.Exception)
    )
    return [pytest.TestReport.from_item_and_call(item, call)] if call.excinfo is not None else []


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code} and without a report of the test"
