"""The summary table: one line per main search, as text for a terminal or a page."""

from collections.abc import Iterable

import msgspec

from membench.report.data import Row, report_rows
from membench.report.words import axis_title, largest_text, pretty_bytes, pretty_parameters, ratio_text, short_bytes
from membench.sweep import SweepResult


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One search in words, with units. ``ratios`` are against the baselines of the sweep, by their name.

    ``peak_reserved`` and ``parameters`` are those of the largest value that fits.
    """

    axis: str
    variant: str
    budget: str
    largest: str
    ratios: dict[str, str]
    peak_reserved: str
    parameters: str
    probes: int
    note: str


def summary_rows(result: SweepResult) -> list[SummaryRow]:
    """One row per main search, by budget and axis."""
    return [summary_row(row) for row in report_rows(result) if not row.sensitivity]


def left_out(places: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Of the pairs of axis and variant that were searched: by axis, the variants that only other axes have.

    A preset leaves them out and says in its assumptions why.
    """
    searched = list(places)
    variants = dict.fromkeys(variant for _, variant in searched)
    missing = {axis: tuple(v for v in variants if (axis, v) not in searched) for axis, _ in searched}
    return {axis: names for axis, names in missing.items() if names}


def summary_row(row: Row) -> SummaryRow:
    fit = row.search.largest_fit
    return SummaryRow(
        axis=axis_title(row.axis),
        variant=row.variant,
        budget=short_bytes(row.budget),
        largest=largest_text(row),
        ratios={compared.baseline: ratio_text(row, compared.ratio) for compared in row.ratios},
        peak_reserved=pretty_bytes(fit.measurement.peak_reserved_bytes if fit else None),
        parameters=pretty_parameters(fit.measurement) if fit else "–",
        probes=len(row.search.probes),
        note="; ".join(row.warnings),
    )
