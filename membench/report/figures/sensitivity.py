"""How the ratios move with the settings that the paper leaves open."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from membench.report.figures.style import DASHES, FAINT, LEGEND, MUTED, NamedFigure, VariantStyle, link, new_figure
from membench.report.sensitivity import Series
from membench.report.words import axis_title


def sensitivity(name: str, series: Sequence[Series], baseline: str, style: VariantStyle) -> NamedFigure:
    knobs = list(dict.fromkeys(one.knob for one in series))
    axes = list(dict.fromkeys(one.axis for one in series))
    figure, panels = new_figure(0.6 + 1.15 * len(axes), rows=len(axes), columns=len(knobs), sharey="row")
    for place, panel in enumerate(panels):
        row, column = divmod(place, len(knobs))
        chosen = [one for one in series if (one.axis, one.knob) == (axes[row], knobs[column])]
        _ratio_lines(panel, chosen, style)
        if column == 0:
            panel.set_ylabel(f"{axis_title(axes[row])}\n(ratio to {baseline})")
        # The name of a setting stands under the lowest panel that moves it.
        if axes[row] == [axis for axis in axes if any((s.axis, s.knob) == (axis, knobs[column]) for s in series)][-1]:
            panel.set_xlabel(knobs[column])
    handles = [style.handle(variant) for variant in dict.fromkeys(one.variant for one in series)]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, **LEGEND)
    caption = (
        f"How the ratios to {baseline} move when one setting is changed. Grey band: the setting of figure 1. "
        f"Dashed line: ratio 1, as far as {baseline} gets."
    )
    return NamedFigure(name, caption, figure)


def _ratio_lines(panel: Axes, series: Sequence[Series], style: VariantStyle) -> None:
    if not series:
        panel.set_axis_off()
        return
    labels, main = series[0].labels, series[0].main
    if main is not None:
        panel.axvspan(main - 0.25, main + 0.25, color=FAINT, alpha=0.5, linewidth=0)
    panel.axhline(1, color=MUTED, linewidth=0.8, linestyle=DASHES)
    for one in series:
        color, mark = style.color(one.variant), style.marker(one.variant)
        panel.plot([math.nan if point is None else point.ratio for point in one.points], color=color)
        for place, point in enumerate(one.points):
            if point is not None:
                url = link(point.fit)
                panel.plot([place], [point.ratio], marker=mark, color=color, markersize=3.2, url=url)
    panel.set_xticks(range(len(labels)), labels)
    panel.set_xlim(-0.4, len(labels) - 0.6)
    panel.grid(axis="y")
