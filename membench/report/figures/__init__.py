"""The figures of a report, at the column width of a paper. Each measured mark links to its probe in the page."""

from collections.abc import Sequence

import matplotlib as mpl

from membench.report.data import ReportData, Row, cases
from membench.report.figures.headline import headline
from membench.report.figures.memory import memory
from membench.report.figures.sensitivity import sensitivity
from membench.report.figures.style import RC, NamedFigure, VariantStyle
from membench.report.sensitivity import sensitivity_series
from membench.report.words import short_bytes


def report_figures(data: ReportData, rows: Sequence[Row]) -> tuple[NamedFigure, ...]:
    """The headline, one memory figure per axis for each device and budget, and the sensitivity of the ratios."""
    style = VariantStyle(row.variant for row in rows)
    found: list[NamedFigure] = []
    grouped = cases(rows)
    with mpl.rc_context(RC):
        for (device, budget), members in grouped.items():
            size = short_bytes(budget) if budget else "all memory"
            where = f"{device}, {size}"
            suffix = f"-{device}-{size}".replace(" ", "").replace(":", "") if len(grouped) > 1 else ""
            claims = [claim for claim in data.claims if any(claim.reference == row.search for row in members)]
            found.append(headline(f"headline{suffix}", members, claims, style, where))
            for axis in dict.fromkeys(row.axis for row in members):
                on_axis = [row for row in members if row.axis == axis]
                found.append(memory(f"memory-{axis}{suffix}", on_axis, style, where))
        series = sensitivity_series(rows)
        if series:
            found.append(sensitivity("sensitivity", series, style))
    return tuple(found)
