"""Axes, values and ratios in words that a reader meets in tables, figures and on the terminal."""

import itertools

from membench.report.data import Row
from membench.result import STATUS_WORDS, AxisValue, Measurement, Point
from membench.spec import SearchSpec
from membench.units import format_bytes, format_volume

AXIS_TITLES = {
    "volume": "Volume",
    "blocks": "Blocks per stage",
    "stages": "Stages",
    "channels": "Base channels",
    "batch": "Batch",
}
_UNITS = {"volume": "voxels", "stages": "stages", "blocks": "blocks", "channels": "channels", "batch": "samples"}


def axis_title(axis: str) -> str:
    """The axis by itself; one of a model's own as it is written."""
    return AXIS_TITLES.get(axis, axis)


def axis_name(axis: str) -> str:
    """The same within a sentence."""
    return AXIS_TITLES[axis].lower() if axis in AXIS_TITLES else axis


def axis_unit(axis: str) -> str:
    """The unit of the extents on an axis, in the plural."""
    return _UNITS.get(axis, axis)


def axis_label(search: SearchSpec) -> str:
    """What stands along an axis of a figure; volumes are drawn in million voxels."""
    unit = {"volume": " (million voxels)", "batch": " (samples)"}
    shape = "" if len(set(search.ratio)) == 1 else f" {':'.join(map(str, search.ratio))}"
    return axis_title(search.axis) + shape + unit.get(search.axis, "")


def axis_scale(axis: str) -> int:
    """What an extent is divided by before it is drawn."""
    return 10**6 if axis == "volume" else 1


def plain_value(value: AxisValue) -> str | int:
    """A value as the command line reads it: ``128x128x160``, or a whole number."""
    return format_volume(value) if isinstance(value, tuple) else value


def pretty_value(value: AxisValue) -> str:
    """A value for people: ``128³`` for a cube, ``240×240×160``, or a whole number."""
    if not isinstance(value, tuple):
        return str(value)
    return f"{value[0]}³" if len(set(value)) == 1 else "×".join(map(str, value))


def value_with_unit(axis: str, value: AxisValue) -> str:
    """``128³ voxels``, ``6 blocks per stage``, ``48 base channels``; on an axis of a model's own, ``seq 128``."""
    if axis not in _UNITS:
        return f"{axis} {value}"
    unit = {"volume": "voxels", "stages": "stages", "blocks": "blocks per stage", "channels": "base channels"}
    return f"{pretty_value(value)} {unit.get(axis, axis_unit(axis))}"


def pretty_ratio(ratio: float | None) -> str:
    """``1.25×``, or a dash where there is nothing to compare."""
    if ratio is None:
        return "–"
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}×"


def pretty_bytes(count: int | None) -> str:
    return "–" if count is None else format_bytes(count)


def pretty_parameters(measurement: Measurement) -> str:
    """``1,234,567``, or a dash where the probe ended before the network was built."""
    return f"{measurement.parameters:,}" if measurement.parameters else "–"


def short_bytes(count: int) -> str:
    """A budget without needless decimals: ``16 GiB``, ``39.56 GiB``."""
    number, unit = format_bytes(count).split(" ")
    return f"{float(number):g} {unit}"


def short_name(name: str) -> str:
    """A name that leaves room for the figure: at most 24 characters."""
    return name if len(name) <= 24 else f"{name[:23]}…"


def short_mix(strategy: str) -> str:
    """A strategy for each stage without repetition: ``reversible, plain ×3``."""
    runs = [(name, len(list(same))) for name, same in itertools.groupby(strategy.split(":"))]
    return ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in runs)


def describe(point: Point) -> str:
    """One line about a probe: ``96³: fits, peak 11.20 GiB reserved``."""
    measurement = point.measurement
    line = f"{pretty_value(point.value)}: {STATUS_WORDS[measurement.status]}"
    return f"{line}, peak {format_bytes(measurement.peak_reserved_bytes)} reserved" if measurement.fits else line


def largest_text(row: Row) -> str:
    """The largest value that fits, marked where more may fit: ``136³``, ``≥ 64``, ``nothing fits``."""
    fit = row.search.largest_fit
    if fit is None:
        return "unknown" if row.is_bound else "nothing fits"
    return f"≥ {pretty_value(fit.value)}" if row.is_bound else pretty_value(fit.value)


def ratio_text(row: Row, ratio: float | None) -> str:
    """A ratio of the row's, marked where it is a lower bound."""
    return f"≥ {pretty_ratio(ratio)}" if row.is_bound and ratio is not None else pretty_ratio(ratio)
