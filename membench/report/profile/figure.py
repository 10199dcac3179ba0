"""The timeline as a figure of matplotlib's: for print, for papers, and where no script runs."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membench.profile.records import CATEGORIES
from membench.profile.timeline import Tick
from membench.report.figures.style import INK, MUTED, RC, NamedFigure
from membench.report.profile.data import phases, thinned, unit_of

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/); the page's style sheet has the same.
COLORS = dict(
    zip(CATEGORIES, ("#0072b2", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#009e73", "#999999"), strict=True)
)
_WIDTH = 7.1  # inches: both columns of a two-column paper
_POINTS = 240  # as many as can be told apart in print


def timeline_figure(ticks: Sequence[Tick], peak: int) -> NamedFigure:
    """What each category holds over the step, and what is reserved."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(_WIDTH, 2.9))
        draw_timeline(figure.subplots(), ticks, peak)
    caption = "Memory over the events of the allocator in the step of the peak: allocated, by category, and reserved."
    return NamedFigure("timeline", caption, figure)


def draw_timeline(axes: Axes, ticks: Sequence[Tick], peak: int) -> None:
    """Draw the timeline into axes; ``peak`` is the event to mark."""
    drawn = thinned(ticks, peak, _POINTS)
    events = [tick.index for tick in drawn]
    unit, size = unit_of(max(tick.reserved for tick in drawn))
    used = [n for n, _ in enumerate(CATEGORIES) if any(tick.categories[n] for tick in drawn)]
    layers = [[tick.categories[n] / size for tick in drawn] for n in used]
    names, colors = [CATEGORIES[n] for n in used], [COLORS[CATEGORIES[n]] for n in used]
    axes.stackplot(events, layers, labels=names, colors=colors, linewidth=0, step="post")
    axes.plot(events, [tick.reserved / size for tick in drawn], color=MUTED, linestyle=(0, (3, 2)), label="reserved")
    top = max(tick.reserved for tick in drawn) / size
    _mark_phases(axes, drawn, top)
    most = next(tick for tick in drawn if tick.index == peak)
    axes.plot([peak], [most.allocated / size], marker="v", color=INK, markersize=4, zorder=4)
    axes.set(
        xlim=(events[0], events[-1]), ylim=(0, top * 1.12), xlabel="event of the allocator", ylabel=f"memory ({unit})"
    )
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=len(names) + 1, handlelength=1.2, columnspacing=1.0
    )


def _mark_phases(axes: Axes, drawn: Sequence[Tick], top: float) -> None:
    span = drawn[-1].index - drawn[0].index
    text: dict[str, Any] = {"fontsize": 6, "color": MUTED, "ha": "left", "va": "top"}
    for phase, first, last in phases(drawn):
        axes.axvline(first, color=MUTED, linewidth=0.4)
        if last - first > 0.05 * span:
            axes.text(first + 0.005 * span, top * 1.1, phase, **text)
