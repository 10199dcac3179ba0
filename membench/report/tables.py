"""The tables of a report as text: ``searches.csv``, ``probes.csv``, ``claims.json``. Wall times are left out of them
all, because they are the one thing that differs between two runs."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd

from membench.model_spec import GIVEN
from membench.report.command import measure_command
from membench.report.data import Row
from membench.report.tradeoff import Price
from membench.report.words import axis_unit, plain_value
from membench.result import Claim, Measurement, Point, SearchResult
from membench.spec import ModelSpec

_LIST_SEPARATOR = "; "
_PEAKS = ("peak_allocated_bytes", "peak_reserved_bytes", "peak_requested_bytes")
_AXIS_FIELDS = {"stages": "stages", "blocks": "blocks", "channels": "base_channels"}


def searches_csv(rows: Sequence[Row]) -> str:
    """One line per search; sizes in bytes, extents in ``extent_unit``."""
    return _csv([_search_record(row) for row in rows])


def probes_csv(rows: Sequence[Row], priced: Sequence[Price] = ()) -> str:
    """One line per probe of each search, in the order asked; the same ``probe`` in two searches is one measurement.

    Probes that no search asked for come last.
    """
    asked = [_probe_record(row, point) for row in rows for point in row.search.probes]
    return _csv([*asked, *(_single_record(price) for price in priced)])


def tradeoff_csv(priced: Sequence[Price]) -> str:
    """One line per strategy at one volume; sizes in bytes, ``recomputation`` the operations over those of plain."""
    return _csv([_price_record(price) for price in priced])


def claims_json(claims: Sequence[Claim]) -> str:
    """A list with each claim, its measured ratio, and the two searches it rests on with their certificates."""
    return _json([_claim_record(claim) for claim in claims])


def _search_record(row: Row) -> dict[str, Any]:
    search, spec, fit = row.search, row.spec, row.search.largest_fit
    return {
        "search": row.number,
        "purpose": "sensitivity" if row.sensitivity else "main",
        "axis": row.axis,
        "variant": row.variant,
        "strategy": spec.strategy,
        "coupling": getattr(spec.network, "coupling", None),
        "device": row.device.name,
        "device_kind": row.device.kind,
        "budget_bytes": row.budget,
        "largest_fit": plain_value(fit.value) if fit else None,
        "largest_fit_extent": fit.extent if fit else None,
        "smallest_unfit": plain_value(search.smallest_unfit.value) if search.smallest_unfit else None,
        "smallest_unfit_extent": search.smallest_unfit.extent if search.smallest_unfit else None,
        "smallest_unfit_status": search.smallest_unfit.measurement.status if search.smallest_unfit else None,
        "extent_unit": axis_unit(row.axis),
        **{f"ratio_to_{_slug(compared.baseline)}": compared.ratio for compared in row.ratios},
        "peak_allocated_bytes": fit.measurement.peak_allocated_bytes if fit else None,
        "peak_reserved_bytes": fit.measurement.peak_reserved_bytes if fit else None,
        "peak_requested_bytes": fit.measurement.peak_requested_bytes if fit else None,
        "parameters": fit.measurement.parameters if fit else None,
        "certified": search.certified,
        "exact": not search.inexact_because,
        "inexact_because": _LIST_SEPARATOR.join(search.inexact_because),
        "limit_reached": search.limit_reached,
        "holes": _LIST_SEPARATOR.join(str(plain_value(value)) for value in search.holes),
        "probes": len(search.probes),
        **_fixed_fields(row),
    }


def _fixed_fields(row: Row) -> dict[str, Any]:
    """What the search held fixed; empty for the field that it moved."""
    spec, network = row.spec, row.spec.network
    fixed: dict[str, Any] = {"volume": plain_value(spec.volume), "batch": spec.batch, "precision": spec.precision}
    if isinstance(network, ModelSpec):
        fixed = {**network.values, **{name: fixed[name] for name in fixed if name not in GIVEN or name in network.axes}}
    else:
        fixed = {name: getattr(network, name) for name in ("base_channels", "stages", "blocks", "expansion")} | fixed
    fixed[_AXIS_FIELDS.get(row.axis, row.axis)] = None
    return {f"fixed_{name}": value for name, value in fixed.items()}


def _probe_record(row: Row, point: Point) -> dict[str, Any]:
    return _point_record(point, row.number, "sensitivity" if row.sensitivity else "main", row.axis)


def _single_record(price: Price) -> dict[str, Any]:
    return _point_record(price.point, None, "tradeoff", "volume")


def _point_record(point: Point, search: int | None, purpose: str, axis: str) -> dict[str, Any]:
    measurement = point.measurement
    return {
        "probe": measurement.spec.key(),
        "search": search,
        "purpose": purpose,
        "axis": axis,
        "variant": measurement.spec.variant,
        "value": plain_value(point.value),
        "extent": point.extent,
        "extent_unit": axis_unit(axis),
        **measurement_fields(measurement),
        "command": measure_command(measurement.spec),
    }


def _price_record(price: Price) -> dict[str, Any]:
    found = price.measurement
    peaks = {name: getattr(found, name) if found.fits else None for name in _PEAKS}
    return {
        "strategy": price.strategy,
        "volume": plain_value(price.point.value),
        "recomputation": price.recomputation,
        "status": found.status,
        **peaks,
        "floor_bytes": price.floor,
        "host_bytes": found.host_bytes,
        "on_front": price.on_front,
        "probe": found.spec.key(),
    }


def measurement_fields(measurement: Measurement) -> dict[str, Any]:
    """Every field of a measurement, flat, but its wall time: outcome first, then device, versions, what was run."""
    fields = {name: _cell(getattr(measurement, name)) for name in _outcome_names()}
    device, spec = measurement.device, measurement.spec
    if device is not None:
        fields |= {f"device_{name}": getattr(device, name) for name in device.__struct_fields__}
    fields |= {f"version_{name}": version for name, version in sorted(measurement.versions.items())}
    fields |= {f"spec_{name}": _cell(getattr(spec, name)) for name in spec.__struct_fields__ if name != "network"}
    network = spec.network
    return fields | {f"network_{name}": _cell(getattr(network, name)) for name in network.__struct_fields__}


def _outcome_names() -> list[str]:
    apart = ("spec", "device", "versions", "seconds")
    return [name for name in Measurement.__struct_fields__ if name not in apart]


def _cell(value: Any) -> Any:
    """Volumes as ``DxHxW``, lists of texts joined, tables as JSON, everything else as it is."""
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    if not isinstance(value, tuple):
        return value
    return _LIST_SEPARATOR.join(value) if not value or isinstance(value[0], str) else plain_value(value)


def _claim_record(claim: Claim) -> dict[str, Any]:
    return {
        "claim": claim.claim,
        "paper_ratio": claim.paper_ratio,
        "measured_ratio": claim.measured_ratio,
        "reproduced": claim.reproduced,
        "reference": _certificate(claim.reference),
        "candidate": _certificate(claim.candidate),
    }


def _certificate(search: SearchResult) -> dict[str, Any]:
    """A search as JSON: the two measured values at its edge, and the outcome of every other probe."""
    spec = search.search
    return {
        "axis": spec.axis,
        "variant": spec.probe.variant,
        "strategy": spec.probe.strategy,
        "device": spec.probe.device,
        "budget_bytes": spec.probe.budget,
        "largest_fit": _edge(search.largest_fit),
        "smallest_unfit": _edge(search.smallest_unfit),
        "certified": search.certified,
        "limit_reached": search.limit_reached,
        "holes": search.holes,
        "probes": [
            {"value": point.value, "extent": point.extent, "status": point.measurement.status}
            for point in search.probes
        ],
    }


def _edge(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    measurement = msgspec.to_builtins(point.measurement)
    del measurement["seconds"]
    command = measure_command(point.measurement.spec)
    return {"value": point.value, "extent": point.extent, "command": command, "measurement": measurement}


def _slug(name: str) -> str:
    """``plain (uncoupled)`` as part of a column's name: ``plain_uncoupled``."""
    return re.sub(r"\W+", "_", name).strip("_")


def _csv(records: list[dict[str, Any]]) -> str:
    # Objects keep integers whole where a column has gaps; pandas would make floats of them.
    columns = list(dict.fromkeys(name for record in records for name in record))
    return pd.DataFrame(records, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")


def _json(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
