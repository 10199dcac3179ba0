"""``membench search``: one axis, and the edge of what fits on it."""

import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from membench.cli.options import Json, parse_ratio, probe_options
from membench.cli.output import err, out, plain_table, print_json
from membench.cli.probing import on_device
from membench.probe import Prober
from membench.result import Measurement, Point, SearchResult
from membench.search import Axis, Candidate, walk
from membench.spec import AxisName, ProbeSpec, SearchSpec
from membench.sweep import Event, ProbeFinished, ProbeStarted, SearchFinished, SearchStarted, extent_ratio

Strategies = Annotated[
    list[str],
    typer.Option(help="How activations are kept, such as plain or reversible; repeat it to compare."),
]

AXES = f"{'|'.join(typing.get_args(AxisName))}|NAME"
DEFAULT_STRATEGIES = [ProbeSpec().strategy]


@probe_options
def search(
    probe: ProbeSpec,
    axis: Annotated[str, typer.Option(metavar=AXES, help="What is searched; the option that sets it is ignored.")],
    strategy: Strategies = DEFAULT_STRATEGIES,
    ratio: Annotated[str, typer.Option(metavar="D:H:W", help="Shape of the volumes on axis volume.")] = "1:1:1",
    start: Annotated[int | None, typer.Option(help="Value probed first; of a volume, the longest side.")] = None,
    limit: Annotated[int | None, typer.Option(help="Largest value tried; of a volume, the longest side.")] = None,
    multiple: Annotated[
        int | None,
        typer.Option(help="Try multiples of this only.", show_default="the network's; volumes of your model: 16"),
    ] = None,
    json: Json = False,
) -> int:
    """Find the edge of what fits on one axis.

    Both the largest value that fits and the smallest that does not are measured.

    Exit code: 0 something fits, 3 nothing does, 1 an error, 2 bad usage.
    """
    from membench.cli.progress import Display

    template = SearchSpec(axis=axis, probe=probe, ratio=parse_ratio(ratio), start=start, limit=limit, multiple=multiple)
    probes = [msgspec.structs.replace(probe, strategy=name) for name in dict.fromkeys(strategy)]
    for each in probes:  # what cannot be searched is refused before anything is started
        Axis(msgspec.structs.replace(template, probe=each))
    device, probe = on_device(probe)
    probes = [msgspec.structs.replace(each, device=probe.device) for each in probes]
    searches = [msgspec.structs.replace(template, probe=each) for each in probes]
    with Display(err(), searches) as display, Prober(device) as prober:
        results = [_follow(number, spec, prober, display) for number, spec in enumerate(searches)]
    if json:
        print_json(_document(results))
    else:
        out().print(_table(results))
    return _exit_code(results)


def _follow(
    position: int, spec: SearchSpec, prober: Callable[[ProbeSpec], Measurement], tell: Callable[[Event], None]
) -> SearchResult:
    """One search, every step of which is told."""

    def measure(candidate: Candidate) -> Measurement:
        tell(ProbeStarted(position=position, candidate=candidate))
        measurement = prober(candidate.spec)
        point = Point(value=candidate.value, extent=candidate.extent, measurement=measurement)
        tell(ProbeFinished(position=position, point=point, reused=False))
        return measurement

    tell(SearchStarted(position=position, search=spec))
    result = walk(spec, measure)
    tell(SearchFinished(position=position, result=result))
    return result


def _document(results: Sequence[SearchResult]) -> dict[str, Any]:
    """The first search that is not of plain, and under ``others`` those that were made beside it."""
    subject = next((result for result in results if result.search.probe.strategy != "plain"), results[0])
    others = [_record(result, results) for result in results if result is not subject]
    return _record(subject, results) | {"others": others}


def _record(result: SearchResult, results: Sequence[SearchResult]) -> dict[str, Any]:
    reasons = result.inexact_because
    return msgspec.structs.asdict(result) | {
        "ratio_to_plain": _ratio_to_plain(result, results),
        "exact": not reasons,
        "inexact_because": reasons,
    }


def _ratio_to_plain(result: SearchResult, results: Sequence[SearchResult]) -> float | None:
    plain = next((other for other in results if other.search.probe.strategy == "plain"), None)
    return None if plain is None else extent_ratio(result, plain)


def _table(results: Sequence[SearchResult]) -> Table:
    from membench.report.words import axis_title, pretty_bytes, pretty_ratio, pretty_value

    def largest(result: SearchResult) -> str:
        if result.largest_fit is None:
            return "–"
        bound = "≥ " if result.limit_reached or not result.certified else ""
        return bound + pretty_value(result.largest_fit.value)

    def peak(result: SearchResult) -> str:
        if result.largest_fit is None:
            return "–"
        found = result.largest_fit.measurement
        return ("" if not found.inexact_because else "≈ ") + pretty_bytes(found.peak_reserved_bytes)

    table = plain_table(
        axis_title(results[0].search.axis),
        *("Largest fit", "Peak reserved", "Smallest misfit", "Probes", "× plain"),
    )
    for result in results:
        unfit = result.smallest_unfit
        table.add_row(
            result.search.probe.variant,
            largest(result),
            peak(result),
            pretty_value(unfit.value) if unfit else "–",
            str(len(result.probes)),
            pretty_ratio(_ratio_to_plain(result, results)),
        )
    reasons = dict.fromkeys(reason for result in results for reason in result.inexact_because)
    if reasons:
        table.caption = "≈ not exact: " + "; ".join(reasons)
        table.caption_justify = "left"
    return table


def _exit_code(results: Sequence[SearchResult]) -> int:
    if any(result.failure for result in results):
        return 1
    return 0 if any(result.largest_fit for result in results) else 3
