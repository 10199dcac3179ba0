"""``membench check``: the cases of a project against its baseline."""

import fnmatch
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from membench.check import (
    FORMATS,
    Baseline,
    Case,
    CheckResult,
    Config,
    Format,
    Measured,
    Threshold,
    baseline_of,
    compare,
    explained,
    find_config,
    holders_of,
    load_config,
    measure_cases,
    parse_threshold,
    read_baseline,
    write_baseline,
)
from membench.check.history import append_record, current_commit
from membench.cli.checked import write_result
from membench.cli.options import Json
from membench.cli.output import err, note, written
from membench.device import Device, resolve, use_cards
from membench.errors import MembenchError, UsageError
from membench.probe import Prober
from membench.result import Measurement

INTERRUPTED, NOT_CARRIED_OUT = 130, 4

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The cases.", show_default="membench.toml or pyproject.toml"),
]
BaselineFile = Annotated[
    Path | None, typer.Option("--baseline", metavar="FILE", help="Instead of the one that the configuration names.")
]
Update = Annotated[bool, typer.Option("--update", help="Write the baseline instead of comparing with it.")]
Names = Annotated[
    list[str] | None,
    typer.Option("--case", metavar="NAME", help="Only these cases; * and ? stand for any; repeatable."),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC:SIZE",
        help="Growth that is allowed, such as peak:5% or reserved:64MiB; repeatable. A case's own comes first.",
        show_default="the configuration's, else peak:0% and reserved:0%",
    ),
]
AllowChange = Annotated[
    bool, typer.Option("--allow-environment-change", help="Compare although the baseline is from another environment.")
]
FormatName = Annotated[Format | None, typer.Option("--format", help="Instead of the table.", show_default=False)]
OutputFile = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Where --format is written; the table is still shown.")
]
RecordFlag = Annotated[bool, typer.Option("--record", help="Add the peaks of this commit to the history.")]
Jobs = Annotated[int | None, typer.Option(help="Cases at a time.", show_default="the usable CPUs; 1 on a real GPU")]


def check(
    config: ConfigFile = None,
    baseline: BaselineFile = None,
    update: Update = False,
    case: Names = None,
    fail_on: FailOn = None,
    allow_environment_change: AllowChange = False,
    form: FormatName = None,
    output: OutputFile = None,
    record: RecordFlag = False,
    jobs: Jobs = None,
    json: Json = False,
) -> int:
    """Compare a project's GPU memory with a committed baseline.

    What is measured are cases: [[case]] tables in membench.toml, or [[tool.membench.case]] in pyproject.toml. A case
    has a name, a device, the fields of a network and a training step as membench measure has them, and perhaps a limit
    of peak reserved bytes and a fail_on of its own. In GitHub Actions the job's summary gets the result too.

    Exit code: 0 fine; 1 a regression, or a limit exceeded; 2 bad usage or configuration; 3 the environment differs
    from the baseline's; 4 a probe failed, or none could be run. Of several, 1 comes before 4, and 4 before 3.
    """
    form = _format(form, output, json)
    plan = load_config(config or find_config(Path()))
    if baseline is not None:
        plan = msgspec.structs.replace(plan, baseline=baseline, baseline_stated=True)
    use_cards(plan.device_file)
    wanted = _Wanted(plan, _selected(plan, case or []), tuple(map(parse_threshold, fail_on or ())), bool(case), update)
    before = _baseline(wanted, update)
    commit = current_commit(plan.path.parent, plan.history) if record else None
    devices = _devices(wanted)
    try:
        measure = functools.partial(_measure, file=plan.path, devices=devices, jobs=_jobs(jobs, devices.values()))
        found = measure(wanted.cases, attributed=update)
        measured = {name: each.measurement for name, each in found.items()}
        result = wanted.compare(measured, before, allow_environment_change or update)
        if commit is not None:
            append_record(plan.history, commit, measured)
            written(plan.history)
        if before is not None:
            result = _explained(result, before, found if update else measure(_grown(wanted, result), attributed=True))
        write_result(result, form, output)
        return _update(wanted, before, found) if update else result.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except MembenchError as error:
        if error.exit_code == 1:
            raise NotCarriedOutError(str(error)) from error
        raise


class NotCarriedOutError(MembenchError):
    """What is exit code 1 elsewhere; here that is a regression."""

    exit_code = NOT_CARRIED_OUT


class _Wanted(NamedTuple):
    plan: Config
    cases: Sequence[Case]
    thresholds: tuple[Threshold, ...]
    partial: bool
    updating: bool

    def compare(self, measured: Mapping[str, Measurement], baseline: Baseline | None, allow: bool) -> CheckResult:
        return compare(
            self.plan,
            measured,
            baseline,
            thresholds=self.thresholds,
            allow_environment_change=allow,
            selected=self.cases if self.partial else None,
            updating=self.updating,
        )


def _format(form: Format | None, output: Path | None, json: bool) -> Format | None:
    if json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} exclude each other")
    if output is not None and form is None and not json:
        raise UsageError(f"--output needs --format, one of {', '.join(FORMATS)}")
    return "json" if json else form


def _selected(plan: Config, patterns: Sequence[str]) -> tuple[Case, ...]:
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.name, pattern) or case.name == pattern for case in plan.cases):
            raise UsageError(f"{plan.path}: there is no case {pattern!r}")
    chosen = (case for case in plan.cases if any(fnmatch.fnmatchcase(case.name, p) or case.name == p for p in patterns))
    return tuple(chosen) if patterns else plan.cases


def _baseline(wanted: _Wanted, update: bool) -> Baseline | None:
    """What to compare with, None for nothing. A check against nothing would always pass, and is refused; it is one
    where no baseline is named and every case has a limit. What is to be replaced whole need not be readable."""
    plan = wanted.plan
    limited = not plan.baseline_stated and all(case.limit is not None for case in wanted.cases)
    if not plan.baseline.exists() and (update or limited):
        return None
    try:
        return read_baseline(plan.baseline)
    except UsageError as error:
        if not update or wanted.partial:
            raise
        note(str(error))
        return None


def _devices(wanted: _Wanted) -> dict[str, Device]:
    """The device of each case, by the case's name."""
    found = {}
    for case in wanted.cases:
        try:
            device = resolve(case.probe.device)
            device.check_budget(case.probe.budget)
        except UsageError as error:
            raise UsageError(f"{wanted.plan.path}: case {case.name!r}: {error}") from error
        except MembenchError as error:
            raise NotCarriedOutError(str(error)) from error
        found[case.name] = device
    return found


def _jobs(asked: int | None, devices: Iterable[Device]) -> int:
    if any(device.info.kind == "real" for device in devices):
        if asked not in (None, 1):
            raise UsageError("on a real GPU cases share its memory and run one at a time; leave out --jobs")
        return 1
    if asked is not None and asked < 1:
        raise UsageError(f"jobs must be at least 1, not {asked}")
    return asked or len(os.sched_getaffinity(0))


def _grown(wanted: _Wanted, result: CheckResult) -> list[Case]:
    """The cases of which it is to be told who holds more: those that take more, or ran out of memory over it."""
    grown = {outcome.name for outcome in result.outcomes if outcome.status in ("limit", "regressed") and outcome.grew}
    return [case for case in wanted.cases if case.name in grown]


def _explained(result: CheckResult, before: Baseline, found: Mapping[str, Measured]) -> CheckResult:
    return explained(result, before, {name: each.peak for name, each in found.items()})


def _measure(
    cases: Sequence[Case], *, file: Path, devices: Mapping[str, Device], jobs: int, attributed: bool
) -> dict[str, Measured]:
    # The device's full name goes into the records: a prefix of it may stand in the configuration.
    named = [
        msgspec.structs.replace(case, probe=msgspec.structs.replace(case.probe, device=devices[case.name].info.name))
        for case in cases
    ]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = err()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("looking who holds the peak" if attributed else "measuring", total=len(cases))
        advance = functools.partial(progress.advance, task)
        try:
            return measure_cases(
                named, devices, Prober, attributed=attributed, jobs=jobs, on_done=lambda case: advance()
            )
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from error


def _update(wanted: _Wanted, before: Baseline | None, found: Mapping[str, Measured]) -> int:
    """Write the baseline unless a case failed; the exit code of a check against it."""
    path, measured = wanted.plan.baseline, {name: each.measurement for name, each in found.items()}
    if not all(measurement.fits for measurement in measured.values()):
        note(f"{path} is left as it was, because not every case could be measured")
        return wanted.compare(measured, before, True).exit_code
    holders = {name: holders_of(each.peak) for name, each in found.items() if each.peak is not None}
    for name in measured.keys() - holders.keys():
        note(f"case {name!r} could not be recorded; a growth of it will not be explained")
    after = baseline_of(measured, before if wanted.partial else None, holders)
    write_baseline(path, after)
    note(f"{path} is written; commit it")
    return wanted.compare(measured, after, True).exit_code
