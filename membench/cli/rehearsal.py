"""``membench train`` on a card of the catalog: what one rank needs, measured without learning anything."""

from collections.abc import Sequence

from rich.text import Text

from membench.cli.output import err, note, out, plain_table, print_json, verdict
from membench.cli.words import device_words
from membench.device import DEFAULT_CARD, Device, resolve
from membench.errors import MembenchError, UsageError
from membench.train.layouts import Found
from membench.train.rehearsal import rehearse, step_volume
from membench.train.result import Peak
from membench.train.spec import TrainSpec
from membench.units import format_bytes, format_volume


def rehearse_all(specs: Sequence[TrainSpec], found: Found, device: Device, ranks: int, json: bool) -> int:
    """Measure a rank of each training, and print it; the exit code is 3 if one does not fit."""
    if device.info.kind != "emulated":
        raise UsageError("a rehearsal is for a card of the catalog; see membench devices")
    volume = step_volume(specs[0], found)
    peaks = []
    for spec in specs:
        with err().status(f"{spec.strategy} on {device.info.title} …"):
            peaks.append(rehearse(spec, device, volume, ranks))
    if json:
        print_json({"device": device.info, "ranks": ranks, "volume": volume, "rehearsals": _documents(specs, peaks)})
    else:
        _print(specs, peaks, device, ranks, format_volume(volume))
    statuses = {peak.status for peak in peaks}
    return 1 if "error" in statuses else 3 if "oom" in statuses else 0


def rehearsed(spec: TrainSpec, found: Found, ranks: int) -> Peak | None:
    """What a training on the CPU would peak at on the default card, since a CPU counts nothing; None if that fails."""
    try:
        return rehearse(spec, resolve(DEFAULT_CARD), step_volume(spec, found), ranks)
    except MembenchError as error:
        note(f"peaks are not measured: {error}")
        return None


def _documents(specs: Sequence[TrainSpec], peaks: Sequence[Peak]) -> list[dict[str, object]]:
    return [
        {
            "strategy": spec.strategy,
            "parallel": spec.parallel,
            "status": peak.status,
            "peak_allocated_bytes": peak.allocated_bytes,
            "peak_reserved_bytes": peak.reserved_bytes,
            "message": peak.message,
        }
        for spec, peak in zip(specs, peaks, strict=True)
    ]


def _print(specs: Sequence[TrainSpec], peaks: Sequence[Peak], device: Device, ranks: int, volume: str) -> None:
    who = f"One of {ranks} ranks of {specs[0].parallel} needs" if ranks > 1 else "Training needs"
    console = out()
    console.print(Text(f"{who}, on {volume} voxels and {device_words(device)}:"), soft_wrap=True)
    table = plain_table("Strategy", "Peak allocated", "Peak reserved", "")
    for spec, peak in zip(specs, peaks, strict=True):
        table.add_row(
            spec.strategy, format_bytes(peak.allocated_bytes), format_bytes(peak.reserved_bytes), verdict(peak.status)
        )
    console.print(table)
    for spec, peak in zip(specs, peaks, strict=True):
        if peak.message:
            words = ". ".join(peak.message.split(". ")[:2]) if peak.status == "oom" else peak.message
            console.print(Text(f"{spec.strategy}: {words}"), soft_wrap=True)
    console.print(Text("Measured on an emulated card, where nothing is computed and nothing is learnt.", style="dim"))
    if ranks > 1:
        console.print(Text("NCCL's own buffers are not in it.", style="dim"))
