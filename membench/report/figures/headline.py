"""The headline: how far each variant gets on each axis, beside what the paper claims."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from membench.report.data import Row, comparable
from membench.report.figures.style import DASHES, INK, NamedFigure, VariantStyle, link, new_figure
from membench.report.summary import left_out
from membench.report.words import axis_label, axis_scale, axis_title, largest_text, ratio_text, short_name
from membench.result import Claim

_VALUE, _RATIO = 40, 80  # right edges of the two columns of text beside a panel, in points


def headline(name: str, rows: Sequence[Row], claims: Sequence[Claim], style: VariantStyle, where: str) -> NamedFigure:
    groups = comparable(rows)
    shares = [2.2 + len(group) for group in groups]
    figure, panels = new_figure(0.16 * sum(shares) + 0.1, rows=len(groups), height_ratios=shares)
    for group, panel in zip(groups, panels, strict=True):
        draw_largest(panel, group, style)
        for claim in claims:
            if claim.reference.largest_fit is not None and any(row.search == claim.reference for row in group):
                _claim_line(panel, claim, claim.reference.largest_fit.extent)
    caption = f"Largest value that trains on each axis ({where})"
    caption += f", and its ratio to {rows[0].ratios[0].baseline}." if rows[0].ratios else "."
    if claims:
        caption += " Dashed line: the ratio that the paper claims, applied to its reference network."
    for axis, variants in left_out((row.axis, row.variant) for row in rows).items():
        caption += f" {axis_title(axis)}: the preset leaves out {', '.join(variants)}."
    return NamedFigure(name, caption, figure)


def draw_largest(panel: Axes, rows: Sequence[Row], style: VariantStyle) -> None:
    axis = rows[0].axis
    for place, row in enumerate(rows):
        fit = row.search.largest_fit
        color, url = style.color(row.variant), link(fit) if fit else None
        panel.barh(place, fit.extent / axis_scale(axis) if fit else 0, height=0.72, color=color, url=url)
        _beside(panel, place, largest_text(row), offset=_VALUE)
        if row.ratios:
            _beside(panel, place, ratio_text(row, row.ratio), offset=_RATIO, fontweight="bold")
    panel.set_yticks(range(len(rows)), [short_name(row.variant) for row in rows])
    panel.tick_params(axis="y", length=0)
    panel.invert_yaxis()
    panel.grid(axis="x")
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=axis_scale(axis) == 1))
    panel.set_title(axis_label(rows[0].search.search))


def _beside(panel: Axes, place: int, text: str, offset: int, **font: Any) -> None:
    """Text right of the panel, where no bar and no line can cross it; ``offset`` is its right edge in points."""
    panel.annotate(
        text, (1, place), xycoords=("axes fraction", "data"), xytext=(offset, 0), textcoords="offset points",
        ha="right", va="center", fontsize=6.5, **font,
    )  # fmt: skip


def _claim_line(panel: Axes, claim: Claim, reference: int) -> None:
    extent = claim.paper_ratio * reference / axis_scale(claim.reference.search.axis)
    panel.axvline(extent, color=INK, linewidth=0.9, linestyle=DASHES)
    _beside(panel, -1, "- - paper", offset=_VALUE)
    _beside(panel, -1, f"{claim.paper_ratio:.2f}×", offset=_RATIO)
