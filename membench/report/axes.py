"""Searches drawn on matplotlib axes of the reader's own, for notebooks and papers.

from membench.report.axes import plot_largest, plot_memory

figure, (left, right) = plt.subplots(1, 2)
plot_memory([plain, offload], ax=left)
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from membench.errors import UsageError
from membench.report.data import Row
from membench.report.figures.headline import draw_largest
from membench.report.figures.memory import draw_memory, memory_legend
from membench.report.figures.style import VariantStyle
from membench.result import SearchResult


def plot_memory(results: SearchResult | Sequence[SearchResult], ax: Axes | None = None) -> Axes:
    """Peak reserved memory (GiB) of every probe along the axis, up to the budget; crosses beyond it are out of memory.

    The searches are of one axis; the budget drawn is the first one's. Without ``ax`` it is pyplot's current one.

    Raises:
        UsageError: there is no search, or they are of different axes, or have no probe.
    """
    rows = _rows(results)
    panel, style = _panel(ax), VariantStyle(row.variant for row in rows)
    draw_memory(panel, rows, style)
    panel.legend(handles=memory_legend(rows, style))
    return panel


def plot_largest(results: SearchResult | Sequence[SearchResult], ax: Axes | None = None) -> Axes:
    """A bar for each search, as long as the extent of the largest value that fits.

    Raises:
        UsageError: as `plot_memory`.
    """
    rows = _rows(results)
    panel = _panel(ax)
    draw_largest(panel, rows, VariantStyle(row.variant for row in rows))
    return panel


def _rows(results: SearchResult | Sequence[SearchResult]) -> list[Row]:
    found = [results] if isinstance(results, SearchResult) else list(results)
    axes = {search.search.axis for search in found}
    if len(axes) != 1:
        raise UsageError(f"a figure is of searches of one axis, not of {', '.join(sorted(axes)) or 'none'}")
    devices = (point.measurement.device for search in found for point in search.probes)
    device = next(filter(None, devices), None)
    if device is None:
        raise UsageError("there is no probe to draw")
    return [
        Row(number=number, position=number - 1, search=search, sensitivity=False, ratios=(), device=device)
        for number, search in enumerate(found, 1)
    ]


def _panel(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # only who gives no axes wants its state

    return plt.gca()
