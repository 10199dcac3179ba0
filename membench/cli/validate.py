"""``membench validate``: how far the emulated device agrees with a real one."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from membench.cli.options import DeviceFile, Json
from membench.cli.output import err, facts, note, out, plain_table, print_json
from membench.device import DEFAULT_CARD, Device, ascending, default_device, resolve
from membench.device.real import gpus
from membench.errors import MembenchError, UsageError, named_file
from membench.probe import Prober
from membench.snapshot import addresses_ascend, read_snapshot
from membench.units import format_bytes

Emulated = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The emulated card.", show_default="the card of the GPU that is validated"),
]
Gpu = Annotated[str, typer.Option("--device", metavar="cuda:N", help="The GPU whose emulation is validated.")]
SnapshotFile = Annotated[
    Path | None,
    typer.Option(
        "--snapshot",
        metavar="FILE",
        help="Compare an allocator history that was recorded on a GPU (torch.cuda.memory._dump_snapshot) instead.",
        show_default=False,
    ),
]
StepName = Annotated[
    str,
    typer.Option("--step", metavar="MODULE:FUNCTION", help="The step that was recorded, as for measure --step."),
]
SnapshotDevice = Annotated[
    int | None,
    typer.Option(metavar="N", help="The GPU in the recording.", show_default="the only one with events"),
]
ProbeNames = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this probe; may be repeated.", show_default="all"),
]
OutFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE.json", help="Where the result goes.", show_default="validation-CARD.json"),
]


def validate(
    device: Gpu = "cuda",
    emulated: Emulated = None,
    snapshot: SnapshotFile = None,
    step: StepName = "",
    warm_up: Annotated[int, typer.Option(help="Steps before the recorded ones.")] = 1,
    steps: Annotated[int, typer.Option(help="Steps that were recorded.")] = 1,
    snapshot_device: SnapshotDevice = None,
    probe: ProbeNames = None,
    path: OutFile = None,
    device_file: DeviceFile = None,
    json: Json = False,
) -> int:
    """Compare the emulated device with a real one.

    On a machine with a GPU the same probes run on it and on the emulated card; the error is told by cause, and written
    to a file that can be contributed. With --snapshot, a history recorded on any GPU is compared event by event with
    the same step on the emulated card.

    Exit code: 0 they agree, 1 an event or an outcome differs or a step failed, 2 bad usage.
    """
    if snapshot is None:
        if step:
            raise UsageError("--step is compared with a recording; name its file with --snapshot")
        return _validate_probes(device, emulated, probe or [], path, json)
    if not step:
        raise UsageError("name the step that was recorded, as --step module:function")
    if warm_up < 0 or steps < 1:
        raise UsageError(f"there is at least 1 step to compare and no negative warm-up, not {steps} and {warm_up}")
    return _validate_snapshot(snapshot, step, warm_up, steps, snapshot_device, emulated, json)


def _validate_probes(gpu: str, emulated: str | None, names: list[str], path: Path | None, json: bool) -> int:
    from membench.validate.context import context_of
    from membench.validate.pairs import Validation, card_of, chosen_probes, pairs

    probes = chosen_probes(names)
    if gpu.startswith("cuda") and not gpus():
        raise MembenchError("no NVIDIA GPU was found on this machine, with which to compare its emulation")
    real = resolve(gpu)
    if real.info.kind != "real":
        raise UsageError(f"{gpu} is an emulated card; --device names the GPU that it is compared with, cuda or cuda:N")
    card = _emulated(emulated or card_of(real))
    path = path or Path(f"validation-{card.info.name}.json")
    _check_writable(path)
    with err().status(f"contexts of {real.info.title} …") as status, Prober(card) as prober:
        contexts = context_of(real), context_of(card)
        found = Validation(
            real=real.info,
            emulated=card.info,
            real_context=contexts[0],
            emulated_context=contexts[1],
            versions=prober.versions,
            pairs=tuple(pairs(probes, real, card, lambda name: status.update(f"{name}, real and emulated …"))),
        )
    _write(path, found)
    if json:
        print_json(msgspec.to_builtins(found) | {"file": str(path), "agrees": found.agrees})
    else:
        _print_probes(found, path)
    return 0 if found.agrees else 1


def _emulated(name: str) -> Device:
    card = resolve(name)
    if card.info.kind != "emulated":
        raise UsageError(f"{name} is a real GPU; --emulated names a card of the catalog (membench devices)")
    return card


def _check_writable(path: Path) -> None:
    """Refuse a file that cannot be written before anything is measured."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; --out names a file")
    if not os.access(path.parent, os.W_OK):
        raise MembenchError(f"{path} cannot be written")


def _write(path: Path, found: Any) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        part.replace(path)
    except OSError as error:
        raise MembenchError(f"{path} cannot be written: {error.strerror or error}") from None


def _print_probes(found: Any, path: Path) -> None:
    from membench.validate.pairs import CAUSES

    table = plain_table("Probe", "Allocated", "Reserved", *(cause.capitalize() for cause in CAUSES))
    for pair in found.pairs:
        real, emulated = pair.real.measurement, pair.emulated.measurement
        if not (real.fits and emulated.fits):
            table.add_row(pair.name, Text(f"{real.status}, emulated {emulated.status}", "" if pair.agrees else "red"))
            continue
        errors = (pair.error_percent(counter) for counter in ("allocated", "reserved"))
        causes = (pair.error_bytes(cause) for cause in CAUSES)
        table.add_row(
            pair.name,
            *("unknown" if error is None else f"{error:+.2f} %" for error in errors),
            *("unknown" if count is None else _signed(count) for count in causes),
        )
    table.caption = "The error of the emulated card: of the peaks, and of what they are made up of."
    table.caption_justify = "left"
    console = out()
    console.print(table, "")
    console.print(facts(_validation_facts(found, path)))


def _validation_facts(found: Any, path: Path) -> Iterator[tuple[str, str]]:
    real, ours = found.real_context, found.emulated_context
    yield (
        "Context",
        f"{format_bytes(real.held_bytes)}, emulated {format_bytes(ours.held_bytes)}: "
        + _signed(found.context_error_bytes),
    )
    yield "GPU", f"{found.real.title}, driver {real.driver or 'unknown'}"
    yield "Emulated", found.emulated.name
    yield "Written to", f"{path}; contribute it to the project, and the emulation of this card can be put right"
    if real.held_bytes > 2 * ours.held_bytes:
        note("other processes hold memory of this GPU; the context is only known when none does")


def _validate_snapshot(
    file: Path, step: str, warm_up: int, steps: int, recorded_on: int | None, emulated: str | None, json: bool
) -> int:
    from membench.validate.histories import compare
    from membench.validate.steps import Take, take

    with named_file():
        recorded = read_snapshot(file)
        recorded.trace(recorded_on)  # refuses a recording without events before anything is started
    default = default_device()
    card = _emulated(emulated or (DEFAULT_CARD if default.startswith("cuda") else default))
    if addresses_ascend(recorded):
        card = ascending(card)
    with tempfile.TemporaryDirectory() as folder, err().status(f"{step} on {card.info.title} …"):
        asked = Take(step=step, warm_up=warm_up, steps=steps, file=str(Path(folder) / "emulated.pickle"))
        found = compare(recorded, take(card, asked), device=recorded_on)
    if json:
        print_json(msgspec.to_builtins(found) | {"share": found.share, "device": card.info})
    else:
        out().print(_agreement(found, file, card))
    return 0 if found.first_difference is None else 1


def _agreement(found: Any, file: Path, card: Device) -> Table:
    return facts(_agreement_facts(found, file, card))


def _agreement_facts(found: Any, file: Path, card: Device) -> Iterator[tuple[str, str | Text]]:
    whole = found.first_difference is None
    share = f"{found.identical:,} of {max(found.recorded_events, found.emulated_events):,} ({found.share:.2%})"
    yield "Identical events", Text(share, style="bold green" if whole else "bold yellow")
    yield "Recorded", f"{file}, {found.recorded_events:,} events"
    yield "Emulated", f"{card.info.name}, {found.emulated_events:,} events"
    for name in ("requested", "reserved"):
        theirs, ours = (getattr(peaks, f"{name}_bytes") for peaks in (found.recorded_peaks, found.emulated_peaks))
        difference = "equal" if ours == theirs else f"emulated {format_bytes(ours)} ({_signed(ours - theirs)})"
        yield f"Peak {name}", f"{format_bytes(theirs)} ({theirs:,} bytes), {difference}"
    first = found.first_difference
    if first:
        yield "First difference", f"event {first.position:,}"
        yield "  recorded", f"{first.recorded or 'has ended'}  {first.recorded_line}"
        yield "  emulated", f"{first.emulated or 'has ended'}  {first.emulated_line}"


def _signed(count: int) -> str:
    return "0 B" if count == 0 else ("+" if count > 0 else "-") + format_bytes(abs(count))
