"""A sweep's result on the terminal: what fits, the paper's claims, and where the files are.

Imports the report, which loads pandas and matplotlib: import it inside a command.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from membench.cli.output import plain_table
from membench.report import left_out, summary_rows
from membench.report.words import pretty_ratio, pretty_value
from membench.result import Claim, Point, SearchResult
from membench.sweep import SweepResult, claims, ratios


def print_summary(console: Console, result: SweepResult, files: Sequence[Path]) -> None:
    """Tables of the main searches and of the claims, notices, and the files' paths."""
    for table in _tables(result):
        console.print(table, "")
    if result.plan.claims:
        console.print(_claims(claims(result)), "")
    for notice in result.notices:
        console.print(Text(f"Note: {notice}", style="yellow"), soft_wrap=True)
    first, *others = _page_first(files)
    console.print(Text(f"Report: {first}", style="bold"), soft_wrap=True)
    console.print(Text("Beside it: " + ", ".join(path.name for path in others)))


def document(result: SweepResult, files: Sequence[Path]) -> dict[str, Any]:
    """The same for a program."""
    against = {(ratio.search, ratio.baseline): ratio.ratio for ratio in ratios(result)}
    return {
        "files": [str(path) for path in _page_first(files)],
        "complete": result.complete,
        "notices": result.notices,
        "device": result.provenance.device,
        "versions": result.provenance.versions,
        "claims": [_claim_document(claim) for claim in claims(result)],
        "searches": [
            _search_document(search)
            | {
                "sensitivity": number >= len(result.searches),
                "ratios": {name: against.get((number, name)) for name in result.plan.baselines},
            }
            for number, search in enumerate(result.all_searches)
        ],
        "tradeoff": [
            {
                "strategy": priced.probe.strategy,
                "recomputation": priced.recomputation,
                "volume": priced.probe.volume,
                "status": point.measurement.status if point else None,
                "peak_reserved_bytes": point.measurement.peak_reserved_bytes if point else None,
            }
            for priced, point in zip(result.plan.tradeoff, result.tradeoff, strict=True)
        ],
    }


def _page_first(files: Sequence[Path]) -> list[Path]:
    return sorted(files, key=lambda path: path.name != "index.html")


def _tables(result: SweepResult) -> Iterator[Group]:
    found = summary_rows(result)
    missing = left_out((row.axis, row.variant) for row in found)
    for (axis, budget), rows in itertools.groupby(found, key=lambda row: (row.axis, row.budget)):
        ratios_to = (f"× {baseline}" for baseline in result.plan.baselines)
        table = plain_table("Strategy", "Largest fit", "Reserved", "Probes", *ratios_to, title=f"{axis}, {budget}")
        notes = []
        for row in rows:
            against = (text.removesuffix("×") for text in row.ratios.values())
            table.add_row(row.variant, row.largest, row.peak_reserved, str(row.probes), *against)
            if row.note:
                notes.append(Text(f"{row.variant}: {row.note}", style="yellow"))
        if axis in missing:
            why = "; see the report's assumptions" if result.plan.assumptions else ""
            notes.append(Text(f"The preset leaves out {', '.join(missing[axis])}{why}.", style="dim"))
        yield Group(table, *notes)


def _claims(found: Sequence[Claim]) -> Table:
    table = plain_table("Claim", "Paper", "Measured")
    table.add_column("Verdict")
    table.add_column("Rests on")
    for claim in found:
        measured = claim.measured_ratio is not None
        reached = ("reproduced", "green") if claim.reproduced else ("not reproduced", "red")
        verdict = Text(*(reached if measured else ("not measured", "yellow")))
        rests_on = f"{_edge(claim.candidate)} against {_edge(claim.reference)}"
        table.add_row(
            claim.claim, pretty_ratio(claim.paper_ratio), pretty_ratio(claim.measured_ratio), verdict, rests_on
        )
    return table


def _edge(search: SearchResult) -> str:
    fit = search.largest_fit
    return f"{search.search.probe.variant} {pretty_value(fit.value) if fit else '–'}"


def _claim_document(claim: Claim) -> dict[str, Any]:
    return {
        "claim": claim.claim,
        "paper_ratio": claim.paper_ratio,
        "measured_ratio": claim.measured_ratio,
        "reproduced": claim.reproduced,
        "reference": _search_document(claim.reference),
        "candidate": _search_document(claim.candidate),
    }


def _search_document(search: SearchResult) -> dict[str, Any]:
    spec = search.search.probe
    return {
        "axis": search.search.axis,
        "variant": spec.variant,
        "budget_bytes": spec.budget,
        "largest_fit": _point_document(search.largest_fit),
        "smallest_unfit": _point_document(search.smallest_unfit),
        "certified": search.certified,
        "exact": not search.inexact_because,
        "probes": len(search.probes),
    }


def _point_document(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    peak = point.measurement.peak_reserved_bytes
    return {"value": point.value, "extent": point.extent, "peak_reserved_bytes": peak}
