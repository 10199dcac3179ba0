"""How a ratio moves with one setting: series found by comparing the sensitivity searches with the main ones."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from membench.report.data import Row
from membench.report.words import short_bytes
from membench.result import Point

_NAMES = {"budget": "budget (GiB)", "expansion": "expansion factor", "blocks": "blocks per stage"}


class SeriesPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The ratio to the first baseline of one search, and its largest fit."""

    ratio: float
    fit: Point


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Ratios of one variant to the first baseline on one axis, at the values (``labels``) of one setting, growing.

    A point is None where the ratio is not known. ``main`` is the place of the value that the main searches have.
    """

    knob: str
    axis: str
    variant: str
    labels: tuple[str, ...]
    points: tuple[SeriesPoint | None, ...]
    main: int | None


def sensitivity_series(rows: Sequence[Row]) -> tuple[Series, ...]:
    """One series for each setting, axis and variant but the first baseline, in the order of the plan.

    Searches are compared with the first one of the same axis and variant; one that differs from it in more than one
    setting belongs to no series.
    """
    members: dict[tuple[str, str, str], dict[Any, Row]] = {}
    main: dict[str, Any] = {}
    for row in rows:
        base = _base(row, rows)
        if base is None or row.variant == row.ratios[0].baseline:
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


def difference(row: Row, rows: Sequence[Row]) -> str:
    """In what a search differs from the first of its axis and variant: ``expansion factor 4``."""
    base = _base(row, rows)
    if base is None:
        return ""
    (knob,) = changed(row, base)
    name = _NAMES.get(knob, knob.replace("_", " ")).removesuffix(" (GiB)")
    value = _settings(row)[knob]
    return f"{name} {short_bytes(value) if knob == 'budget' and value else value}"


def _base(row: Row, rows: Iterable[Row]) -> Row | None:
    """The search that this one varies in exactly one setting."""
    first = next(other for other in rows if (other.axis, other.variant) == (row.axis, row.variant))
    return first if row.ratios and len(changed(row, first)) == 1 else None


def _settings(row: Row) -> dict[str, Any]:
    spec = row.spec
    settings = {name: getattr(spec, name) for name in spec.__struct_fields__ if name != "network"}
    return settings | {name: getattr(spec.network, name) for name in spec.network.__struct_fields__}


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, before anything else by its text."""
    return sorted(values, key=lambda v: (0, v, "") if isinstance(v, int | float) else (1, 0, str(v)))


def _point(row: Row | None) -> SeriesPoint | None:
    if row is None or row.ratio is None or row.search.largest_fit is None:
        return None
    return SeriesPoint(ratio=row.ratio, fit=row.search.largest_fit)


def _label(knob: str, value: Any) -> str:
    return short_bytes(value).removesuffix(" GiB") if knob == "budget" and value is not None else str(value)
