"""Memory profiles: every allocation of a training step, and who holds the peak."""

import tempfile
from pathlib import Path

import msgspec

from membench.errors import MembenchError
from membench.probe import Prober
from membench.profile.analysis import Analysis
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


def attribute(spec: ProbeSpec, prober: Prober) -> Profile:
    """Record a probe and say who holds its peak; see `Profile`. Two runs on an emulated device give the same.

    Raises:
        UsageError: the probe cannot be run as asked.
        MembenchError: the probe failed otherwise than for want of memory; the message is the probe's.
    """
    with tempfile.TemporaryDirectory() as folder:
        return record(spec, prober, Path(folder) / "snapshot.pickle").profile


def record(spec: ProbeSpec, prober: Prober, snapshot: Path) -> Analysis:
    """Record a probe, with PyTorch's own snapshot of it in a file, and analyse it.

    Raises:
        UsageError, MembenchError: see `attribute`.
    """
    measurement = prober.record(spec, snapshot)
    if measurement.status not in ("fits", "oom") or not snapshot.exists():
        raise MembenchError(measurement.message or f"the probe ended with {measurement.status}")
    analysis = Analysis(read_snapshot(snapshot))
    # The device is known to the prober, not to the process that was recorded.
    analysis.profile = msgspec.structs.replace(analysis.profile, measurement=measurement)
    return analysis


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
