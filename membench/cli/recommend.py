"""``membench recommend``: which strategy to train with."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.status import Status
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
from membench.spec import NetworkSpec, ProbeSpec
from membench.units import format_bytes, format_volume

Strategies = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Choose among mixes of these only, named from the one that keeps most to the one that keeps least.",
        show_default="all built-in ones that compute again",
    ),
]


# Where the steps are timed: a side, in voxels, and rounds of one step of each strategy.
TIMED_SIDE, TIMED_ROUNDS = 32, 3
Time = Annotated[
    bool, typer.Option("--time", help="Time a training step of each too, beside plain: on the CPU, at a small volume.")
]


@probe_options
def recommend(probe: ProbeSpec, strategy: Strategies = None, time: Time = False, json: Json = False) -> int:
    """Name the cheapest strategy that fits.

    That is the one with the least recomputation; each resolution may have a strategy of its own. The next cheaper ones
    are measured too, and what they miss by.

    Exit code: 0 something fits, 3 nothing does, 1 an error, 2 bad usage.
    """
    if time:
        _ = probe.unet  # only our own networks are timed
    probe.validate()
    device, probe = on_device(probe)
    with err().status("") as status:
        with Prober(device) as prober:
            found = choose(probe, device, strategy or (), prober, status)
        roomy = unlimited(device)
        if roomy and found.cheaper and not found.failure:
            with Prober(roomy) as prober:
                found = with_shortfalls(found, told(prober, status))
        ratios = _time_ratios(found, probe.unet, status) if time and not found.failure else {}
    if json:
        print_json(_document(found, ratios))
    else:
        out().print(facts(_facts(found, probe, device)))
        out().print(_table(found, ratios))
    if found.failure:
        return 1
    return 0 if found.recommended else 3


def _time_ratios(found: Recommendation, network: NetworkSpec, status: Status) -> dict[str, float]:
    """The step time of each strategy in the table over that of plain; none for one that cannot run on the CPU."""
    from membench.models.timing import compare

    names = [option.strategy for option in (found.recommended, *found.cheaper) if option]
    side = max(TIMED_SIDE // network.grid, 1) * network.grid
    rows = compare(network, (side,) * 3, names, rounds=TIMED_ROUNDS, tell=status.update)
    return {row.strategy: row.ratio for row in rows if not row.error}


def _document(found: Recommendation, ratios: Mapping[str, float]) -> dict[str, Any]:
    def document(option: Option) -> dict[str, Any]:
        return option_document(option) | {"time_ratio": ratios.get(option.strategy)}

    best = found.recommended
    measured = {"command": measure_command(best.measurement.spec), "measurement": best.measurement} if best else {}
    return {
        "device": found.device,
        "budget_bytes": found.budget_bytes,
        "recommended": document(best) | measured if best else None,
        "cheaper": [document(option) for option in found.cheaper],
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


def _table(found: Recommendation, ratios: Mapping[str, float]) -> Table:
    table = plain_table("Strategy", "Cost", *(["Step time"] if ratios else []), "Peak reserved", "Misses by")
    for option in (found.recommended, *found.cheaper):
        if option:
            ratio = f"{ratios[option.strategy]:.2f}×" if option.strategy in ratios else "unknown"
            timed = [ratio] if ratios else []
            table.add_row(option.strategy, f"{option.recomputation:.3f}×", *timed, _peak(option), _shortfall(option))
    table.caption = "Cost: operations of a training step over those of plain."
    if ratios:
        table.caption += " Step time: over plain's, on this machine's CPU at a small volume."
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
