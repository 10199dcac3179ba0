"""``membench doctor``: what is installed, which device would be used, and one emulated step as self-check."""

import platform
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from membench import __version__
from membench.cli.options import Json
from membench.cli.output import facts, out, print_json, verdict
from membench.device import DEFAULT_CARD, default_device, emulated, resolve
from membench.device.symbols import missing_calls
from membench.errors import MembenchError
from membench.probe import Prober
from membench.result import Measurement
from membench.spec import NetworkSpec, ProbeSpec
from membench.units import GIB, format_bytes

SELF_CHECK = ProbeSpec(
    network=NetworkSpec(base_channels=16, stages=3, blocks=1), volume=(32, 32, 32), device=DEFAULT_CARD, budget=GIB
)
ANSWERS = {
    "exact": "kept by the emulated device itself",
    "nothing": "computation, not done",
    "library": "by the real library, for the described card",
    "model": "by a formula of membench's",
    "refused": "not modelled: ends the probe",
}


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """``problem`` is what keeps the self-check from running at all; ``calls`` is the emulated device's log of it.

    ``missing_calls`` are those that the installed PyTorch can make and the emulated device does not know; None where
    that could not be looked up, for what ``missing_calls_problem`` says.
    """

    versions: dict[str, str]
    emulator_built: bool
    default_device: str
    self_check: Measurement | None = None
    problem: str = ""
    calls: dict[str, tuple[str, int]] = {}
    missing_calls: tuple[str, ...] | None = None
    missing_calls_problem: str = ""

    @property
    def healthy(self) -> bool:
        return self.self_check is not None and self.self_check.fits


def doctor(
    json: Json = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show which library calls the emulated device answered, and how.")
    ] = False,
) -> int:
    """Say what is installed, and check it with one emulated step.

    Exit code: 0 all is well, 1 membench cannot run here.
    """
    findings = _examine()
    if json:
        print_json(findings)
    else:
        out().print(facts(_facts(findings)))
        if verbose and findings.calls:
            out().print(_calls(findings.calls))
    return 0 if findings.healthy else 1


def _examine() -> Findings:
    known = Findings(
        versions={"membench": __version__, "python": platform.python_version()},
        emulator_built=all(path.exists() for path in emulated.library_paths()),
        default_device=default_device(),
    )
    try:
        known = msgspec.structs.replace(known, missing_calls=missing_calls())
    except MembenchError as error:
        known = msgspec.structs.replace(known, missing_calls_problem=str(error))
    try:
        with Prober(resolve(SELF_CHECK.device)) as prober:
            check = prober(SELF_CHECK)
            return msgspec.structs.replace(known, versions=prober.versions, self_check=check, calls=prober.log.calls)
    except MembenchError as error:
        return msgspec.structs.replace(known, problem=str(error))


def _facts(found: Findings) -> Iterator[tuple[str, str | Text]]:
    yield from found.versions.items()
    yield "emulated device", "built" if found.emulator_built else "not built"
    if found.missing_calls is None:
        yield "PyTorch's calls", Text(f"not looked up: {found.missing_calls_problem}", style="yellow")
    elif found.missing_calls:
        unknown = f"the emulated device does not know {', '.join(found.missing_calls)}"
        yield "PyTorch's calls", Text(unknown, style="yellow")
    else:
        yield "PyTorch's calls", "all answered by the emulated device, or refused by name"
    yield "default device", found.default_device
    if found.self_check is not None:
        check = found.self_check
        peak = f"peak {format_bytes(check.peak_reserved_bytes)} reserved ({check.peak_reserved_bytes:,} bytes)"
        yield "self-check", verdict(check.status).append(f"  {check.message or peak}", style="not bold default")
    if found.problem:
        yield "problem", Text(found.problem, style="red")


def _calls(calls: dict[str, tuple[str, int]]) -> Table:
    """The log by kind of answer, each under what the kind means."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for answer, meaning in ANSWERS.items():
        answered = sorted((name, count) for name, (how, count) in calls.items() if how == answer)
        table.add_row()
        table.add_row(Text.assemble((answer, "bold"), f", {meaning}: {len(answered) or 'no'} calls"))
        for name, count in answered:
            table.add_row(f"  {name}", f"{count:,}")
    return table
