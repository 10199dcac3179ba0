"""Peak reserved memory of every probe on an axis, up to the budget and beyond."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from membench.report.data import Row
from membench.report.figures.style import DASHES, INK, LEGEND, MUTED, NamedFigure, VariantStyle, link, mark, new_figure
from membench.report.words import axis_label, axis_name, axis_scale, short_bytes
from membench.units import GIB


def memory(name: str, rows: Sequence[Row], style: VariantStyle, where: str) -> NamedFigure:
    figure, (panel,) = new_figure(2.75)
    axis = rows[0].axis
    draw_memory(panel, rows, style)
    figure.legend(handles=memory_legend(rows, style), loc="outside upper center", ncols=3, **LEGEND)
    caption = (
        f"Peak reserved memory of every probe on the {axis_name(axis)} axis ({where}). "
        "Filled: fits. Crosses above the budget: out of memory, so the need is known only to exceed the budget."
    )
    return NamedFigure(name, caption, figure)


def draw_memory(panel: Axes, rows: Sequence[Row], style: VariantStyle) -> None:
    """The probes of searches on one axis, with the budget of the first; no legend."""
    points = [point for row in rows for point in row.search.probes]
    top = rows[0].budget / GIB
    bottom = min((p.measurement.peak_reserved_bytes / GIB for p in points if p.measurement.fits), default=top) * 0.8
    step = (top / bottom) ** 0.07 if top > bottom > 0 else 1.1
    _doubling_axes(panel, between=top < 8 * bottom)
    for place, row in enumerate(rows):
        _fits(panel, row, style)
        _misses(panel, row, style, top * step ** (place + 0.8))
    panel.axhline(top, color=INK, linewidth=0.9, linestyle=DASHES)
    panel.set_ylim(bottom, top * step ** (len(rows) + 0.4))
    panel.set_yticks([tick for tick in panel.get_yticks() if bottom <= tick <= top])
    panel.set(xlabel=axis_label(rows[0].search.search), ylabel="Peak reserved memory (GiB)")
    panel.grid()


def _doubling_axes(panel: Axes, *, between: bool) -> None:
    """A tick at every doubling in both directions: parallel lines differ by a factor that can be read off.

    ``between`` puts ticks of memory between doublings too, where there are few of them.
    """
    panel.set(xscale="log", yscale="log")
    for direction, ticks in ((panel.xaxis, 6), (panel.yaxis, 8)):
        direction.set_major_locator(LogLocator(base=2, numticks=ticks))
        direction.set_major_formatter(FuncFormatter(lambda size, _: f"{size:.3g}" if size < 1000 else f"{size:.0f}"))
        direction.set_minor_locator(NullLocator())
    if between:
        panel.yaxis.set_major_locator(LogLocator(base=2, subs=(1, 1.25, 1.5, 1.75), numticks=8))


def _fits(panel: Axes, row: Row, style: VariantStyle) -> None:
    fits = sorted((p for p in row.search.probes if p.measurement.fits), key=lambda p: p.extent)
    heights = [p.measurement.peak_reserved_bytes / GIB for p in fits]
    color = style.color(row.variant)
    places = [p.extent / axis_scale(row.axis) for p in fits]
    panel.plot(places, heights, color=color, alpha=0.55, linewidth=1)
    for point, place, height in zip(fits, places, heights, strict=True):
        shape = style.marker(row.variant)
        panel.plot([place], [height], marker=shape, color=color, markeredgewidth=0, url=link(point))


def _misses(panel: Axes, row: Row, style: VariantStyle, height: float) -> None:
    for point in row.search.probes:
        if not point.measurement.fits:
            shape = "x" if point.measurement.status == "oom" else "+"
            color = style.color(row.variant)
            place = point.extent / axis_scale(row.axis)
            panel.plot([place], [height], marker=shape, color=color, markeredgewidth=1.1, url=link(point))


def memory_legend(rows: Sequence[Row], style: VariantStyle) -> list[Line2D]:
    handles = [style.handle(variant) for variant in dict.fromkeys(row.variant for row in rows)]
    handles.append(mark("x", MUTED, "out of memory"))
    if any(row.failed for row in rows):
        handles.append(mark("+", MUTED, "failed"))
    budget = f"budget {short_bytes(rows[0].budget)}"
    return [*handles, Line2D([], [], color=INK, linewidth=0.9, linestyle=DASHES, label=budget)]
