"""Memory profiles: every allocation of a training step, and who holds the peak."""

import tempfile
from pathlib import Path

import msgspec

from membench.errors import MembenchError
from membench.probe import Prober
from membench.profile.analysis import Analysis
from membench.profile.carry import carry
from membench.profile.records import Held, Holder, Kind, Moment, Peak, Profile, Refused, Remedy
from membench.result import Measurement
from membench.snapshot import read_snapshot
from membench.spec import ProbeSpec
from membench.units import format_bytes

__all__ = [
    "Analysis",
    "Held",
    "Holder",
    "Kind",
    "Moment",
    "Peak",
    "Profile",
    "Refused",
    "Remedy",
    "attribute",
    "compared",
    "record",
]


def attribute(spec: ProbeSpec, prober: Prober, unrecorded: Measurement | None = None) -> Profile:
    """Record a probe and say who holds its peak; see `Profile`. Two runs on an emulated device give the same.

    ``unrecorded`` is what the prober measured of the same probe, if it did.

    Raises:
        UsageError: the probe cannot be run as asked.
        MembenchError: the probe failed otherwise than for want of memory; the message is the probe's.
    """
    with tempfile.TemporaryDirectory() as folder:
        return record(spec, prober, Path(folder) / "snapshot.pickle", unrecorded).profile


def record(spec: ProbeSpec, prober: Prober, snapshot: Path, unrecorded: Measurement | None = None) -> Analysis:
    """Record a probe, with PyTorch's own snapshot of it in a file, and analyse it.

    Raises:
        UsageError, MembenchError: see `attribute`.
    """
    unrecorded = unrecorded or _ended(prober(spec))
    measurement = _ended(prober.record(spec, snapshot))
    if _peaks(measurement) != _peaks(unrecorded):
        labelled = snapshot.replace(snapshot.with_suffix(".labelled"))
        try:
            measurement = _ended(prober.record(spec, snapshot, labelled=False))
            carry(labelled, snapshot)
        finally:
            labelled.unlink()
    analysis = Analysis(read_snapshot(snapshot))
    # The device is known to the prober, not to the process that was recorded.
    analysis.profile = compared(msgspec.structs.replace(analysis.profile, measurement=measurement), unrecorded)
    return analysis


def _ended(measurement: Measurement) -> Measurement:
    if measurement.status not in ("fits", "oom"):
        raise MembenchError(measurement.message or f"the probe ended with {measurement.status}")
    return measurement


def _peaks(measurement: Measurement) -> tuple[int, int]:
    return measurement.peak_allocated_bytes, measurement.peak_reserved_bytes


def compared(profile: Profile, unrecorded: Measurement) -> Profile:
    """The profile, with a note where recording changed what it records."""
    recorded = profile.measurement
    if recorded is None:
        return profile
    notes = [
        f"Recorded, the {name} peak is {format_bytes(ours)}; not recorded, it is {format_bytes(theirs)}."
        for name, ours, theirs in (
            ("allocated", recorded.peak_allocated_bytes, unrecorded.peak_allocated_bytes),
            ("reserved", recorded.peak_reserved_bytes, unrecorded.peak_reserved_bytes),
        )
        if ours != theirs
    ]
    return msgspec.structs.replace(profile, notes=(*profile.notes, *notes))
