"""The peaks of a project's cases over its commits, drawn in one HTML file that needs nothing else."""

import math
from collections.abc import Sequence

import matplotlib as mpl
import msgspec
from markupsafe import Markup
from matplotlib.figure import Figure

from membench.check.history import Record
from membench.check.text import printable
from membench.report.figures.style import COLUMN_WIDTH, RC, VariantStyle, new_figure, render
from membench.report.page import asset, environment, inline_svg
from membench.report.words import short_name
from membench.units import GIB

TICKS = 12


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its drawing, and its commits in the order of the history."""

    name: str
    drawing: Markup
    records: tuple[Record, ...]


def history_html(records: Sequence[Record], names: Sequence[str]) -> str:
    """The page. Commits at which a case did not fit, or failed, have no mark."""
    drawn = [_drawn(number, name, records) for number, name in enumerate(names)]
    template = environment().get_template("history.html.j2")
    return template.render(cases=drawn, style=asset("style.css"), printable=printable)


def _drawn(number: int, name: str, records: Sequence[Record]) -> Drawn:
    known = [record for record in records if name in record.cases]
    with mpl.rc_context(RC):
        figure = _figure(name, known)
    svg = inline_svg(f"case-{number}", render(figure, "svg").decode(), {})
    return Drawn(name=name, drawing=svg, records=tuple(known))


def _figure(name: str, known: Sequence[Record]) -> Figure:
    figure, (axes,) = new_figure(1.9)
    figure.set_figwidth(2 * COLUMN_WIDTH)
    styles = VariantStyle(["plain", "reversible"])
    for label, which, style in (("reserved", "reserved", "plain"), ("allocated", "peak", "reversible")):
        sizes = [getattr(record.cases[name], which, math.nan) / GIB for record in known]  # nan leaves a gap
        axes.plot(
            range(len(known)), sizes, marker=styles.marker(style), color=styles.color(style), label=f"peak {label}"
        )
    every = max(1, -(-len(known) // TICKS))
    axes.set_xticks(range(0, len(known), every), [record.commit.short for record in known[::every]], rotation=30)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("GiB")
    axes.set_title(short_name(printable(name)))
    axes.grid(axis="y")
    axes.legend(loc="lower left")
    return figure
