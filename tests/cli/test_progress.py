import io

import pytest
from rich.console import Console

from membench.cli.progress import Display, ending, search_names
from membench.result import Measurement, Point, SearchResult, Status
from membench.search import Axis
from membench.spec import NetworkSpec, ProbeSpec, SearchSpec
from membench.sweep import ProbeFinished, ProbeStarted, SearchFinished, SearchStarted
from membench.units import GIB

SEARCH = SearchSpec(axis="volume", probe=ProbeSpec(strategy="plain", budget=GIB))


def point(number: int, status: Status) -> Point:
    found = Axis(SEARCH).at(number)
    measurement = Measurement(spec=found.spec, status=status, message="what happened", peak_reserved_bytes=GIB // 2)
    return Point(value=found.value, extent=found.extent, measurement=measurement)


def result(fit: Point | None, unfit: Point | None = None, failure: Point | None = None) -> SearchResult:
    return SearchResult(
        search=SEARCH,
        largest_fit=fit,
        smallest_unfit=unfit,
        limit_reached=unfit is None,
        holes=(),
        probes=(),
        failure=failure,
    )


def show(terminal: bool) -> str:
    """What a search with one hole of knowledge writes, up to its end."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=80, highlight=False, color_system=None)
    fit, unfit = point(8, "fits"), point(10, "oom")
    with Display(console, [SEARCH]) as display:
        display(SearchStarted(position=0, search=SEARCH))
        for probe in (fit, unfit):
            display(ProbeStarted(position=0, candidate=Axis(SEARCH).at(probe.extent)))
            display(ProbeFinished(position=0, point=probe, reused=False))
        display(ProbeStarted(position=0, candidate=Axis(SEARCH).at(9)))
        if display._live:
            display._live.refresh()
        display(SearchFinished(position=0, result=result(fit, unfit)))
    return written.getvalue()


def test_a_terminal_sees_the_bracket_close() -> None:
    written = show(terminal=True)
    assert "Volume, plain  64³ fits, 80³ does not, trying 72³" in written
    assert "0/1 searches, 2 probes" in written
    assert "✓ Volume, plain  64³ fits (512.00 MiB), 80³ does not" in written


def test_elsewhere_there_is_one_plain_line_for_each_search() -> None:
    assert show(terminal=False) == "✓ Volume, plain  64³ fits (512.00 MiB), 80³ does not\n"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (result(point(8, "fits")), "✓ it  64³ fits (512.00 MiB), the axis ends there"),
        (result(None, point(1, "oom")), "✗ it  8³ does not"),
        (result(point(1, "fits"), None, point(2, "crashed")), "! it  16³: crashed: what happened"),
    ],
)
def test_other_endings(found: SearchResult, line: str) -> None:
    assert ending("it", found).plain == line


def test_searches_are_named_by_what_sets_them_apart() -> None:
    def search(budget: int = GIB, **network: int) -> SearchSpec:
        return SearchSpec(axis="volume", probe=ProbeSpec(budget=budget, network=NetworkSpec(**network)))

    names = search_names([search(), SEARCH, search(2 * GIB), search(expansion=2, blocks=1)])
    assert names == [
        "Volume, reversible",
        "Volume, plain",
        "Volume, reversible, budget 2 GiB",
        "Volume, reversible, blocks 1, expansion 2",
    ]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("fits", "✓ Trade-off, plain  64³ fits (512.00 MiB)"),
        ("oom", "✗ Trade-off, plain  64³ does not fit"),
        ("crashed", "! Trade-off, plain  64³: crashed: what happened"),
    ],
)
def test_a_single_probe_has_one_line_too(status: Status, line: str) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=False, width=80, highlight=False)
    with Display(console, [SEARCH], [SEARCH.probe]) as display:
        display(ProbeStarted(position=1, candidate=Axis(SEARCH).at(8)))
        display(ProbeFinished(position=1, point=point(8, status), reused=False))
    assert written.getvalue() == line + "\n"
