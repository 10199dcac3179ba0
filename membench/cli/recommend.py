"""``membench recommend``: which strategy to train with."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from membench.cli.candidates import choose, option_document, told
from membench.cli.options import Json, probe_options
from membench.cli.output import err, facts, out, plain_table, print_json, verdict
from membench.cli.probing import on_device
from membench.cli.words import device_words, step_words
from membench.device import Device, unlimited
from membench.probe import Prober
from membench.recommend import Option, Recommendation, with_shortfalls
from membench.report.command import measure_command
from membench.spec import ProbeSpec
from membench.units import format_bytes, format_volume

Strategies = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Choose among mixes of these only, named from the one that keeps most to the one that keeps least.",
        show_default="all built-in ones that compute again",
    ),
]


@probe_options
def recommend(probe: ProbeSpec, strategy: Strategies = None, json: Json = False) -> int:
    """Name the cheapest strategy that fits: the one with the least recomputation.

    Each resolution may have a strategy of its own. The next cheaper ones are measured too, and what they miss by.

    Exit code: 0 something fits, 3 nothing does, 1 an error, 2 bad usage.
    """
    probe.validate()
    device, probe = on_device(probe)
    with err().status("") as status:
        with Prober(device) as prober:
            found = choose(probe, device, strategy or (), prober, status)
        roomy = unlimited(device)
        if roomy and found.cheaper and not found.failure:
            with Prober(roomy) as prober:
                found = with_shortfalls(found, told(prober, status))
    if json:
        print_json(_document(found))
    else:
        out().print(facts(_facts(found, probe, device)))
        out().print(_table(found))
    if found.failure:
        return 1
    return 0 if found.recommended else 3


def _document(found: Recommendation) -> dict[str, Any]:
    best = found.recommended
    measured = {"command": measure_command(best.measurement.spec), "measurement": best.measurement} if best else {}
    return {
        "device": found.device,
        "budget_bytes": found.budget_bytes,
        "recommended": option_document(best) | measured if best else None,
        "cheaper": [option_document(option) for option in found.cheaper],
        "candidates": [option_document(option) for option in found.candidates],
        "failure": found.failure,
    }


def _facts(found: Recommendation, probe: ProbeSpec, device: Device) -> Iterator[tuple[str, str | Text]]:
    best, failure = found.recommended, found.failure
    yield "Recommended", Text(best.strategy, style="bold green") if best else Text("nothing fits", style="bold yellow")
    if failure:
        words = f"{failure.strategy}: {failure.measurement.message}"
        yield "Stopped by", verdict(failure.measurement.status).append(f"  {words}", style="not bold default")
    yield "Command", measure_command(best.measurement.spec) if best else ""
    yield "Volume", f"{format_volume(probe.volume)} voxels" if "volume" in probe.network.axes else ""
    yield "Network", probe.network.words
    yield "Training", step_words(probe)
    yield "Budget", format_bytes(found.budget_bytes)
    yield "Device", device_words(device)


def _table(found: Recommendation) -> Table:
    table = plain_table("Strategy", "Cost", "Peak reserved", "Misses by")
    for option in (found.recommended, *found.cheaper):
        if option:
            table.add_row(option.strategy, f"{option.recomputation:.3f}×", _peak(option), _shortfall(option))
    table.caption = "Cost: operations of a training step over those of plain."
    if any(option.unlimited for option in found.cheaper):
        table.caption += " *: on the same card with its memory limit lifted."
    table.caption_justify = "left"
    return table


def _peak(option: Option) -> str:
    if option.unlimited and option.unlimited.fits:
        return f"{format_bytes(option.unlimited.peak_reserved_bytes)}*"
    return format_bytes(option.measurement.peak_reserved_bytes) if option.measurement.fits else "unknown"


def _shortfall(option: Option) -> str:
    if option.measurement.fits:
        return "fits"
    return "unknown" if option.misses_by_bytes is None else format_bytes(option.misses_by_bytes)
