"""Marked tests against a baseline, which is the file of ``membench check`` with the tests for cases."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from membench.check.baseline import baseline_of, read_baseline, write_baseline
from membench.check.compare import compare
from membench.check.config import Case, Config
from membench.check.result import MARKS, WORDS
from membench.check.thresholds import DEFAULT_THRESHOLDS, Threshold, parse_threshold
from membench.errors import MembenchError, UsageError
from membench.pytest_plugin.marked import Marked, TestMemory, memory_of


def judged(memory: TestMemory, marked: Marked, config: pytest.Config) -> TestMemory:
    """What the mark's limit and the baseline, where there is one, make of a test's memory."""
    file = config.getoption("membench_baseline")
    baseline = read_baseline(Path(file)) if file else None
    measurement = memory.measurement
    case = Case(name=memory.nodeid, probe=measurement.spec, limit=marked.limit_bytes, fail_on=marked.thresholds)
    nowhere = Path()
    plan = Config(path=nowhere, baseline=nowhere, history=nowhere, fail_on=DEFAULT_THRESHOLDS, cases=(case,))
    outcome = compare(
        plan,
        {case.name: measurement},
        baseline,
        thresholds=_thresholds(config),
        allow_environment_change=config.getoption("membench_allow_environment_change"),
        selected=(case,),
    ).outcomes[0]
    reasons = outcome.reasons if outcome.status != "new" else ()
    return msgspec.structs.replace(memory, status=outcome.status, reasons=reasons)


class Keeper:
    """In the process that the user started: tells of what changed, and writes the baseline when asked to."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._found: list[TestMemory] = []
        self._written = ""
        file = config.getoption("membench_baseline")
        if not file:
            raise pytest.UsageError("--membench-update needs --membench-baseline FILE")
        self._file = config.invocation_params.dir / file
        try:
            _thresholds(config)
            updating = config.getoption("membench_update")
            self._before = read_baseline(self._file) if not updating or self._file.exists() else None
        except UsageError as error:
            raise pytest.UsageError(str(error).replace("--update", "--membench-update")) from error

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        memory = memory_of(report) if report.when == "call" else None
        if memory is not None and (report.passed or memory.exceeded):
            self._found.append(memory)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._config.getoption("membench_update") or hasattr(self._config, "workerinput") or not self._found:
            return
        try:
            measured = {memory.nodeid: memory.measurement for memory in self._found if not memory.exceeded}
            write_baseline(self._file, baseline_of(measured, self._before))
            self._written = f"{len(measured)} tests written to {self._file}; commit it"
        except MembenchError as error:
            self._written = f"{self._file} is not written: {error}"
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        told = [memory for memory in self._found if memory.status != "unchanged"] if not self._written else []
        if not told and not self._written:
            return
        terminalreporter.section("GPU memory")
        for memory in told:
            reasons = "; ".join(memory.reasons)
            words = f"{MARKS[memory.status]} {memory.nodeid}: {WORDS[memory.status]}"
            terminalreporter.write_line(f"{words}: {reasons}" if reasons else words)
        if self._written:
            terminalreporter.write_line(self._written)


def _thresholds(config: pytest.Config) -> Sequence[Threshold]:
    return tuple(map(parse_threshold, config.getoption("membench_fail_on")))
