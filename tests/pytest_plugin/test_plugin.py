"""The plugin in a pytest of its own. Each test that uses PyTorch there costs seconds, so a few runs show it all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _only_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other plugins that happen to be installed cost each of the processes a second."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "membench.pytest_plugin")


MANY = """
import os, sys, time, pytest

@pytest.fixture(scope="module")
def resource():
    return os.getpid()

def test_unmarked(resource):
    assert "torch" not in sys.modules
    assert "membench.device" not in sys.modules

@pytest.mark.cuda_memory(limit="1GiB", device="t4")
@pytest.mark.parametrize("word", ["a::b[c]", "é"])
def test_without_a_gpu(resource, word, cuda_memory, request):
    assert os.getpid() == resource
    assert request.config.getoption("--size") == "large"
    assert cuda_memory.peak_allocated_bytes == 0

@pytest.mark.cuda_memory(device="t4")
def test_raises():
    print("something to read")
    raise ValueError("on purpose")

@pytest.mark.cuda_memory(device="t4")
def test_killed():
    os.kill(os.getpid(), 9)

@pytest.mark.cuda_memory(device="t4", timeout=3)
def test_hangs():
    time.sleep(1000)

@pytest.mark.cuda_memory(device="t4")
def test_aborts():
    os.abort()

@pytest.mark.cuda_memory(limt="1GiB")
def test_wrong_argument():
    pass

@pytest.mark.cuda_memory(limit="lots")
def test_wrong_limit():
    pass

@pytest.mark.cuda_memory(device="gtx")
def test_wrong_device():
    pass

@pytest.mark.skip(reason="later")
@pytest.mark.cuda_memory
def test_skipped():
    pass

@pytest.mark.xfail(reason="known")
@pytest.mark.cuda_memory(device="t4")
def test_known():
    assert False

@pytest.mark.cuda_memory(device="t4")
class TestInAClass:
    def test_method(self, tmp_path):
        pass

def test_fixture_without_a_mark(cuda_memory):
    pass
"""
OPTION = """
def pytest_addoption(parser):
    parser.addoption("--size", default="small")
"""
NEXT_FILE = """
def test_in_the_next_file():
    pass
"""
WITH_A_GPU = """
import pytest

@pytest.fixture
def held():
    import torch
    return torch.empty(64 * 2**20, dtype=torch.uint8, device="cuda")

@pytest.mark.cuda_memory(limit="200MiB", device="a100-40gb")
def test_fits(held, cuda_memory):
    import torch
    assert torch.cuda.get_device_name() == "NVIDIA A100-SXM4-40GB"
    torch.empty(SIZE * 2**20, dtype=torch.uint8, device="cuda")
    assert cuda_memory.peak_allocated_bytes == (64 + SIZE) * 2**20
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n", "2")], ids=["alone", "xdist"])
def test_every_ending_is_a_report(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makeconftest(OPTION)
    pytester.makepyfile(test_many=MANY, test_next=NEXT_FILE)
    pytester.makeini("[pytest]\naddopts = --strict-markers -k 'not nothing'\n")
    ended = pytester.runpytest_subprocess("--size=large", "--membench-args=--size=large", "-rA", *workers)
    ended.assert_outcomes(passed=5, failed=7, skipped=1, xfailed=1, errors=1)
    assert ended.ret == 1
    ended.stdout.fnmatch_lines_random(
        [
            "*ValueError: on purpose",
            "*something to read",
            "the process of the test was killed by SIGKILL*",
            "the process of the test did not end within 3 s*",
            "the process of the test was killed by SIGABRT; it printed last:",
            "Fatal Python error: Aborted",
            "the mark cuda_memory: Object contains unknown field `limt`",
            "the mark cuda_memory: 'lots' is not a size in bytes*",
            "device 'gtx' is not in the catalog*",
            "*UsageError: the fixture cuda_memory is for tests that are marked @pytest.mark.cuda_memory",
            "SKIPPED*later",
        ]
    )


@pytest.mark.slow
def test_limit_baseline_and_a_regression(pytester: pytest.Pytester) -> None:
    file = pytester.makepyfile(WITH_A_GPU.replace("SIZE", "32"))
    write = ("--membench-baseline=b.json", "--membench-update")
    written = pytester.runpytest_subprocess(*write)
    written.assert_outcomes(passed=1)
    written.stdout.fnmatch_lines(["1 tests written to */b.json; commit it"])
    baseline = json.loads((pytester.path / "b.json").read_bytes())
    (case,) = baseline["cases"].values()
    assert case["peaks"] == {"peak": 96 * 2**20, "requested": 96 * 2**20, "reserved": 96 * 2**20}
    file.write_text(WITH_A_GPU.replace("SIZE", "40"))
    grown = pytester.runpytest_subprocess("--membench-baseline=b.json")
    grown.assert_outcomes(failed=1)
    grown.stdout.fnmatch_lines(
        [
            "peak allocated 96.00 MiB → 104.00 MiB (+8.00 MiB, +8.3 %); allowed: peak:0%",
            "*GPU memory at the peak*",
            "104.00 MiB allocated, 104.00 MiB reserved*",
            "*64.00 MiB  *test_limit_baseline_and_a_regression.py:7 (held)",
            "*40.00 MiB  *test_limit_baseline_and_a_regression.py:13 (test_fits)",
        ]
    )
    file.write_text(WITH_A_GPU.replace("SIZE", "160"))
    above = pytester.runpytest_subprocess("--junitxml=j.xml")
    above.stdout.fnmatch_lines(["peak reserved 224.00 MiB exceeds the limit of 200.00 MiB by 24.00 MiB"])
    assert 'name="membench"' in Path(pytester.path / "j.xml").read_text()


def test_bad_options_are_bad_usage(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): pass")
    for options, reason in (
        (["--membench-update"], "--membench-update needs --membench-baseline FILE"),
        (["--membench-baseline=none.json"], "there is no baseline */none.json; write it with --membench-update*"),
    ):
        ended = pytester.runpytest_subprocess(*options)
        assert ended.ret == pytest.ExitCode.USAGE_ERROR
        ended.stderr.fnmatch_lines([f"ERROR: {reason}"])


def test_the_plugin_imports_nothing_until_it_is_used() -> None:
    code = "import sys, membench.pytest_plugin; print(*sorted(n for n in sys.modules if n.startswith('membench')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["membench", "membench.pytest_plugin", "membench.pytest_plugin.names"]
