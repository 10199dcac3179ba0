"""Each workload of benchmarks/coverage.py runs on the emulated device, or is refused by the call's name."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from coverage import HERE, Row, Runner, main, markdown, summary
from workloads import GROUPS, Workload, workloads

RUNS = Row(name="a.b", title="B", allocated=1, reserved=2)
LEFT_TO_THE_SCRIPT = {"graphs.max_autotune"}  # compiles and times a dozen candidates


@pytest.fixture(scope="module")
def run() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.mark.slow
@pytest.mark.parametrize("workload", [w for w in workloads() if w.name not in LEFT_TO_THE_SCRIPT], ids=lambda w: w.name)
def test_it_runs_or_is_refused_by_name(workload: Workload, run: Runner) -> None:
    row = run(workload)
    if row.missing:
        pytest.skip(row.remarks)
    assert row.verdict == ("refused" if row.refuses else "runs"), row.remarks


@pytest.mark.parametrize(
    ("changes", "verdict", "remark"),
    [
        ({}, "runs", ""),
        ({"reads": 3}, "runs", "3 values read as zero"),
        ({"modelled": ("cudaFuncGetAttributes", "cudnnX")}, "runs", "modelled: cudnnX"),
        ({"failed": "RuntimeError: no"}, "failed", "RuntimeError: no"),
        ({"refused": ("cufftCreate",)}, "failed", "calls cufftCreate"),
        ({"refused": ("cufftCreate",), "refuses": "cufft", "failed": "cuFFT error"}, "refused", "cufftCreate"),
        ({"refuses": "cufft"}, "failed", "does not call cufft…"),
        ({"refuses": "cufft", "refused": ("cusparseCreate",)}, "failed", "calls cusparseCreate"),
        ({"missing": "monai"}, "missing", "needs monai"),
    ],
)
def test_a_row_is_judged_by_what_it_says_of_itself(changes: dict[str, object], verdict: str, remark: str) -> None:
    row = msgspec.structs.replace(RUNS, **changes)
    assert (row.verdict, row.remarks) == (verdict, remark)


def test_every_module_of_workloads_is_in_the_table() -> None:
    modules = {path.stem for path in (HERE / "workloads").glob("*.py")} - {"__init__", "server", "steps"}
    assert modules == set(GROUPS)
    assert all(workload.title for workload in workloads())


def test_the_committed_table_has_every_workload() -> None:
    table = (Path(HERE) / "results" / "coverage.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (.+?) \| (?:runs|refused) \|", table, re.MULTILINE) == [w.title for w in workloads()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no workload is called nothing; known are conv"),
        (["norms", "--device", "h999"], "not in the catalog"),
    ],
)
def test_what_there_is_not_is_bad_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_table_in_markdown_counts_its_rows() -> None:
    failed = msgspec.structs.replace(RUNS, failed="no")
    lines = list(markdown([RUNS, RUNS, failed], "t4-16gb"))
    assert lines[-1] == "| B | failed |  |  | no |"
    assert lines[-2] == "| B | runs | 1 | 2 |  |"
    assert summary([RUNS, RUNS, failed]) == "2 run, 1 fail"
