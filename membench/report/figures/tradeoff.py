"""Memory against recomputation: one mark per strategy, the front that none goes beyond, and the budgets."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from membench.report.figures.style import DASHES, INK, MUTED, NamedFigure, VariantStyle, link, new_figure
from membench.report.tradeoff import Price
from membench.report.words import pretty_value, short_bytes, short_mix
from membench.units import GIB

# Of a name's size, in the width of the panel.
CHARACTERS = 68


def tradeoff(name: str, prices: Sequence[Price], budgets: Sequence[int], style: VariantStyle) -> NamedFigure:
    figure, (panel,) = new_figure(2.9)
    fits = [price for price in prices if price.measurement.fits]
    heights = [price.measurement.peak_reserved_bytes / GIB for price in fits]
    marks = [*heights, *(budget / GIB for budget in budgets)]
    bottom, top = min(marks) / 1.5, max(marks) * 1.6
    panel.set(yscale="log", ylim=(bottom, top))
    most = max(1.1, *(price.recomputation for price in prices))
    panel.set_xlim(1 - 0.06 * (most - 1), 1 + 1.12 * (most - 1))
    panel.yaxis.set_major_locator(LogLocator(base=2, numticks=10))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:.2g}×"))
    panel.grid()
    _front(panel, [price for price in prices if price.on_front])
    for budget in budgets:
        panel.axhline(budget / GIB, color=INK, linewidth=0.9, linestyle=DASHES)
        _text(panel, f"budget {short_bytes(budget)}", (1, budget / GIB), (-2, 3), "axes", ha="right")
    for price in prices:
        _mark(panel, price, style, top / 1.12, beside=_has_one_beside(price, fits, most))
    panel.set(xlabel="Operations of a training step, over those of plain", ylabel="Peak reserved memory (GiB)")
    return NamedFigure(name, _caption(prices), figure)


def _front(panel: Axes, leading: Sequence[Price]) -> None:
    """Steps: from one strategy on, at least its memory is needed until the next one's computation is paid for."""
    places = [price.recomputation for price in leading]
    heights = [price.measurement.peak_reserved_bytes / GIB for price in leading]
    panel.step(places, heights, where="post", color=MUTED, linewidth=1, zorder=1)


def _has_one_beside(price: Price, others: Sequence[Price], most: float) -> bool:
    """Whether the name of another, a little to the left and as high, would run into this one's."""
    return any(
        0 < price.recomputation - other.recomputation < 0.3 * (most - 1)
        and 0.8 < price.measurement.peak_reserved_bytes / other.measurement.peak_reserved_bytes < 1.25
        for other in others
    )


def _mark(panel: Axes, price: Price, style: VariantStyle, above: float, *, beside: bool) -> None:
    """Names stand where no step of the front is: above and right of a mark, or below and left of it."""
    fits, mixed = price.measurement.fits, ":" in price.strategy
    at = (price.recomputation, price.measurement.peak_reserved_bytes / GIB if fits else above)
    color = MUTED if mixed else style.color(price.strategy)
    shape = "x" if not fits else "." if mixed else style.marker(price.strategy)
    face = "none" if price.pays_otherwise else color
    url = link(price.point)
    panel.plot(*at, marker=shape, color=color, markerfacecolor=face, markersize=5, linestyle="", url=url)
    words, room = short_mix(price.strategy), _room_beside(panel, price.recomputation)
    if len(words) > room:
        words = words.replace(", ", ",\n", 1)
    if max(map(len, words.split("\n"))) > room:
        _text(panel, words, at, (-4, -3), "data", ha="right", va="top")
    elif beside:
        _text(panel, words, at, (4, -3), "data", va="top")
    else:
        _text(panel, words, at, (3, 2), "data", va="bottom")


def _room_beside(panel: Axes, place: float) -> float:
    """How many characters of a name there is room for between a mark and the panel's right edge."""
    left, right = panel.get_xlim()
    return CHARACTERS * (right - place) / (right - left)


def _text(panel: Axes, words: str, at: tuple[float, float], offset: tuple[int, int], across: str, **align: Any) -> None:
    coordinates = "data" if across == "data" else ("axes fraction", "data")
    panel.annotate(
        words, at, xycoords=coordinates, xytext=offset, textcoords="offset points", fontsize=6.5, **align
    )  # fmt: skip


def _caption(prices: Sequence[Price]) -> str:
    spec = prices[0].measurement.spec
    caption = (
        f"Memory against recomputation at {pretty_value(spec.volume)} voxels ({spec.device}, all of it for a budget). "
        "Operations are those of products and convolutions. Line: the front, beyond which no strategy goes. "
        "Names for each stage, from full resolution down, are a mix."
    )
    if any(price.pays_otherwise for price in prices):
        caption += " Hollow: pays in copies to the host, which are no operations, and is not on the front."
    if not all(price.measurement.fits for price in prices):
        caption += " Crosses: more than the device has."
    return caption
