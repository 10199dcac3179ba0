"""How every figure looks: column width of a paper, colours that colour-blind readers tell apart, fixed bytes."""

import io
from collections.abc import Iterable
from itertools import count
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from membench.report.words import short_name
from membench.result import Point

COLUMN_WIDTH = 3.5  # inches: one column of a two-column paper
INK, MUTED, FAINT = "#1f2328", "#59636e", "#d1d9e0"
DASHES = (0, (3, 2))
LEGEND: dict[str, Any] = {"handletextpad": 0.3, "columnspacing": 1.0}

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), and an olive of Paul Tol's; the marker says the same again
# without colour.
_PALETTE = ("#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#999933")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_NAMES = ("plain", "plain (uncoupled)", "checkpoint", "reversible", "reversible-sliced", "selective", "offload")
_KNOWN = {name: n for n, name in enumerate(_NAMES)}

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "text.parse_math": False,  # a name with a dollar sign is a name
    "svg.fonttype": "path",
    "svg.hashsalt": "membench",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
}


class NamedFigure(msgspec.Struct, frozen=True):
    """A figure, the stem of its file name, and its caption."""

    name: str
    caption: str
    figure: Figure


def link(point: Point) -> str:
    """Where the page shows a probe."""
    return f"#probe-{point.measurement.spec.key()}"


def mark(marker: str, color: str, label: str) -> Line2D:
    """An entry in a legend."""
    return Line2D([], [], linestyle="", marker=marker, color=color, label=label)


class VariantStyle:
    """Colour and marker of each variant: fixed for the known ones, in order of appearance for others."""

    def __init__(self, variants: Iterable[str]) -> None:
        fresh = count(len(_KNOWN))
        self._index = {name: _KNOWN[name] if name in _KNOWN else next(fresh) for name in dict.fromkeys(variants)}

    def color(self, variant: str) -> str:
        return _PALETTE[self._index[variant] % len(_PALETTE)]

    def marker(self, variant: str) -> str:
        return _MARKERS[self._index[variant] % len(_MARKERS)]

    def handle(self, variant: str) -> Line2D:
        """The variant's entry in a legend."""
        return Line2D(
            [], [], linestyle="", marker=self.marker(variant), color=self.color(variant), label=short_name(variant)
        )


def new_figure(height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure of column width and ``height`` inches with its panels, drawn without any window or global state."""
    figure = Figure(figsize=(COLUMN_WIDTH, height))
    return figure, list(figure.subplots(rows, columns, squeeze=False, **grid).flat)


def render(figure: Figure, kind: str) -> bytes:
    """The bytes of the figure as ``png`` or ``svg``: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    dated = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context(RC):
        figure.savefig(buffer, format=kind, metadata=dated, facecolor="white" if kind == "png" else "none")
    return buffer.getvalue()
