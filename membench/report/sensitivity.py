"""How a ratio moves with one setting: series found by comparing the sensitivity searches with the main ones."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from membench.report.data import PLAIN, Row
from membench.report.words import short_bytes
from membench.result import Point

_NAMES = {"budget": "budget (GiB)", "expansion": "expansion factor", "blocks": "blocks per stage"}


class SeriesPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The ratio to plain of one search, and its largest fit."""

    ratio: float
    fit: Point


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Ratios to plain of one variant on one axis, at the values (``labels``) of one setting, in growing order.

    A point is None where the ratio is not known. ``main`` is the place of the value that the main searches have.
    """

    knob: str
    axis: str
    variant: str
    labels: tuple[str, ...]
    points: tuple[SeriesPoint | None, ...]
    main: int | None


def sensitivity_series(rows: Sequence[Row]) -> tuple[Series, ...]:
    """One series for each setting, axis and variant but plain, in the order of the plan.

    A sensitivity search that differs from every main search in more than one setting belongs to no series.
    """
    members: dict[tuple[str, str, str], dict[Any, Row]] = {}
    main: dict[str, Any] = {}
    for row in rows:
        base = _base(row, rows) if row.sensitivity else None
        if base is None or row.variant == PLAIN:
            continue
        (knob,) = changed(row, base)
        main.setdefault(knob, _settings(base)[knob])
        found = members.setdefault((knob, row.axis, row.variant), {_settings(base)[knob]: base})
        found.setdefault(_settings(row)[knob], row)
    values = {knob: _ordered({v for key, found in members.items() if key[0] == knob for v in found}) for knob in main}
    return tuple(
        Series(
            knob=_NAMES.get(knob, knob.replace("_", " ")),
            axis=axis,
            variant=variant,
            labels=tuple(_label(knob, value) for value in values[knob]),
            points=tuple(_point(found.get(value)) for value in values[knob]),
            main=values[knob].index(main[knob]),
        )
        for (knob, axis, variant), found in members.items()
    )


def changed(row: Row, base: Row) -> tuple[str, ...]:
    """The settings in which two searches differ."""
    mine, theirs = _settings(row), _settings(base)
    return tuple(name for name in mine if mine[name] != theirs[name])


def _base(row: Row, rows: Iterable[Row]) -> Row | None:
    main = (other for other in rows if not other.sensitivity and (other.axis, other.variant) == (row.axis, row.variant))
    return next((other for other in main if len(changed(row, other)) == 1), None)


def _settings(row: Row) -> dict[str, Any]:
    spec = row.spec
    settings = {name: getattr(spec, name) for name in spec.__struct_fields__ if name != "network"}
    return settings | {name: getattr(spec.network, name) for name in spec.network.__struct_fields__}


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, before anything else by its text."""
    return sorted(values, key=lambda v: (0, v, "") if isinstance(v, int | float) else (1, 0, str(v)))


def _point(row: Row | None) -> SeriesPoint | None:
    if row is None or row.ratio_to_plain is None or row.search.largest_fit is None:
        return None
    return SeriesPoint(ratio=row.ratio_to_plain, fit=row.search.largest_fit)


def _label(knob: str, value: Any) -> str:
    return short_bytes(value).removesuffix(" GiB") if knob == "budget" and value is not None else str(value)
