"""The figures of a report, at the column width of a paper. Each measured mark links to its probe in the page."""

from collections.abc import Sequence

import matplotlib as mpl

from membench.report.data import Row, cases, comparable
from membench.report.figures.headline import headline
from membench.report.figures.memory import memory
from membench.report.figures.sensitivity import sensitivity
from membench.report.figures.style import RC, NamedFigure, VariantStyle
from membench.report.figures.tradeoff import tradeoff
from membench.report.sensitivity import sensitivity_series
from membench.report.tradeoff import Price
from membench.report.words import short_bytes
from membench.result import Claim


def report_figures(
    rows: Sequence[Row], claims: Sequence[Claim], tradeoffs: Sequence[tuple[Price, ...]] = ()
) -> tuple[NamedFigure, ...]:
    """The headline, one memory figure per axis for each budget, the trade-offs, and the sensitivity of the ratios."""
    strategies = (price.strategy for prices in tradeoffs for price in prices if ":" not in price.strategy)
    style = VariantStyle((*(row.variant for row in rows), *strategies))
    found: list[NamedFigure] = []
    by_budget = cases(rows)
    with mpl.rc_context(RC):
        for budget, members in by_budget.items():
            suffix = f"-{short_bytes(budget).replace(' ', '')}" if len(by_budget) > 1 else ""
            where = f"{members[0].device.name}, {short_bytes(budget)}"
            its_claims = [claim for claim in claims if any(claim.reference == row.search for row in members)]
            found.append(headline(f"headline{suffix}", members, its_claims, style, where))
            for group in comparable(members):
                same = sum(figure.name.startswith(f"memory-{group[0].axis}{suffix}") for figure in found)
                name = f"memory-{group[0].axis}{suffix}" + (f"-{same + 1}" if same else "")
                if any(row.search.probes for row in group):
                    found.append(memory(name, group, style, where))
        for number, prices in enumerate(tradeoffs, 1):
            name = "tradeoff" if number == 1 else f"tradeoff-{number}"
            measured = [price for price in prices if price.measurement.status in ("fits", "oom")]
            if measured:
                found.append(tradeoff(name, measured, list(by_budget), style))
        series = sensitivity_series(rows)
        if series:
            found.append(sensitivity("sensitivity", series, rows[0].ratios[0].baseline, style))
    return tuple(found)
