"""``membench sweep``: the main job."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from membench.cli.options import DeviceFile, DeviceName, Json
from membench.cli.output import err, note, out, print_json
from membench.cli.words import device_words
from membench.device import Device, resolve
from membench.errors import UsageError
from membench.probe import Prober
from membench.store import Provenance, Store
from membench.sweep import OpenProbe, Plan, SweepResult, load_preset, plan, run
from membench.units import parse_bytes

INTERRUPTED = 130

PresetName = Annotated[str, typer.Option(metavar="NAME|FILE", help="paper, quick, or a TOML file made like them.")]
Budgets = Annotated[list[str] | None, typer.Option(metavar="SIZE", help="Instead of the preset's; may be repeated.")]
Strategies = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Instead of the preset's; may be repeated.")]
Axes = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these of the preset's; may be repeated.")]
Jobs = Annotated[int | None, typer.Option(help="Searches at a time.", show_default="the usable CPUs; 1 on a real GPU")]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Results and report; a sweep there goes on.")]


def sweep(
    preset: PresetName = "paper",
    device: DeviceName = None,
    device_file: DeviceFile = None,
    budget: Budgets = None,
    strategy: Strategies = None,
    axis: Axes = None,
    jobs: Jobs = None,
    folder: OutFolder = Path("membench-report"),
    json: Json = False,
) -> int:
    """Search how large, deep and wide a network fits, per strategy.

    Then it checks the paper's claims by what was measured, and writes a report. Every probe is kept as soon as it has
    ended; the same command goes on where it was stopped.

    Exit code: 0 done, 1 a probe failed or results cannot be written, 2 bad usage, 130 stopped by Ctrl-C.
    """
    chosen = load_preset(preset)
    target = resolve(device or (chosen.device if device_file is None else None))
    budgets = [parse_bytes(size) for size in budget or chosen.budgets]
    for size in budgets:
        target.check_budget(size)
    planned = plan(
        chosen,
        device=target.info.name,
        budgets=budgets,
        strategies=strategy or (),
        axes=axis or (),
    )
    planned = _affordable(planned, target)
    jobs = _jobs(jobs, target)
    try:
        result, files = _sweep(planned, target, jobs, folder)
    except KeyboardInterrupt:
        typer.echo(
            f"membench: stopped; all that was measured is kept in {folder}, the same command goes on from there",
            err=True,
        )
        return INTERRUPTED
    from membench.cli.summary import document, print_summary

    if json:
        print_json(document(result, files))
    else:
        print_summary(out(), result, files)
    return 1 if result.failed else 0


def _sweep(planned: Plan, device: Device, jobs: int, folder: Path) -> tuple[SweepResult, tuple[Path, ...]]:
    from membench.cli.progress import Display
    from membench.report import write_report

    with Store(folder) as store:
        _announce(planned, device, jobs, store)
        singles = [priced.probe for priced in planned.tradeoff]
        with Display(err(), planned.all_searches, singles) as display, Prober(device) as first:
            provenance = Provenance(device=device.info, versions=first.versions)
            result = run(planned, store, provenance, _openings(first, device), jobs=jobs, on_event=display)
        return result, write_report(result, folder)


def _affordable(planned: Plan, device: Device) -> Plan:
    """The plan without the studies of budgets that the device does not have."""
    kept = tuple(study for study in planned.sensitivity if (study.probe.budget or 0) <= device.usable_bytes)
    if left_out := len(planned.sensitivity) - len(kept):
        note(f"studies left out, because {device.info.name} does not have their budget: {left_out}")
    return msgspec.structs.replace(planned, sensitivity=kept)


def _jobs(asked: int | None, device: Device) -> int:
    if device.info.kind == "real":
        if asked not in (None, 1):
            raise UsageError("on a real GPU probes share its memory and run one at a time; leave out --jobs")
        return 1
    if asked is not None and asked < 1:
        raise UsageError(f"jobs must be at least 1, not {asked}")
    return asked or len(os.sched_getaffinity(0))


def _openings(first: Prober, device: Device) -> OpenProbe:
    """One prober for each worker; that of the first is the one that told the versions, and has its server already."""
    waiting = [first]

    def open_probe() -> Prober:
        try:
            return waiting.pop()
        except IndexError:
            return Prober(device)

    return open_probe


def _announce(planned: Plan, device: Device, jobs: int, store: Store) -> None:
    console = err()
    studies = f" and {len(planned.sensitivity)} studies of what was assumed" if planned.sensitivity else ""
    singles = f", {len(planned.tradeoff)} single probes" if planned.tradeoff else ""
    console.print(Text(planned.title, style="bold"), soft_wrap=True)
    console.print(
        Text(f"{len(planned.searches)} searches{studies}{singles}, {jobs} at a time, in {store.folder}"),
        soft_wrap=True,
    )
    console.print(Text(device_words(device)), soft_wrap=True)
    for notice in store.notices:
        note(notice)
