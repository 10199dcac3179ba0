"""Measurements and profiles of no device, for what only compares or shows them."""

import msgspec

from membench.profile.records import CATEGORIES, Held, Holder, Kind, Moment, Peak, Profile
from membench.result import Measurement
from membench.spec import ProbeSpec
from membench.units import MIB

SPEC = ProbeSpec(volume=(32, 32, 32), strategy="plain")


def measurement(spec: ProbeSpec = SPEC, **fields: object) -> Measurement:
    defaults = {"status": "fits", "versions": {"torch": "2.14"}, **fields}
    return msgspec.convert({"spec": msgspec.to_builtins(spec), **defaults}, Measurement)


def profile(*holders: tuple[str, str, str, int], phase: str = "backward", **fields: object) -> Profile:
    """A profile whose peak is held by (category, module, line, MiB)."""
    rows = tuple(
        msgspec.convert({"category": c, "module": m, "line": line, "bytes": size * MIB, "count": 1}, Holder)
        for c, m, line, size in holders
    )
    total = sum(row.bytes for row in rows)
    kinds = tuple(Kind(category=row.category, what="of a kind", bytes=row.bytes, count=1) for row in rows)
    peak = Peak(
        allocated_bytes=total,
        reserved_bytes=total + 10 * MIB,
        requested_bytes=total,
        phase=phase,  # type: ignore[arg-type]
        module=rows[0].module,
        at=Moment(event=0, phase="backward", step=1, module=rows[0].module, op="", line=""),
        categories={name: sum(row.bytes for row in rows if row.category == name) for name in CATEGORIES},
        kinds=kinds,
        modules={row.module: row.bytes for row in rows},
        holders=rows,
        largest=(Held(bytes=rows[0].bytes, requested_bytes=rows[0].bytes, category="activation", what=""),),
        segments=(),
    )
    return Profile(**{"measurement": measurement(), "peak": peak, "phases": {}, **fields})  # type: ignore[arg-type]
