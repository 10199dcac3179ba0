"""The baseline: a JSON file that is committed, read in a diff, and the same byte for byte wherever it is written."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from membench.check.config import MODEL_KEYS
from membench.check.holders import Holders
from membench.errors import UsageError
from membench.result import DeviceInfo, Measurement
from membench.spec import ModelSpec, ProbeSpec
from membench.store import write_whole
from membench.units import format_volume

FORMAT = 1
# What decides the bytes of a step beside the code that is checked. Python's version does not, and is left out, so that
# two machines that differ in it alone write the same file; membench's is told, but does not hinder a comparison.
DECIDING = ("torch", "cuda", "cudnn")
TOLD = ("membench",)


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks over the measured steps in bytes, as in `Measurement`; ``peak`` is that of allocated bytes."""

    peak: int
    reserved: int
    requested: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A case as it was. ``settings`` are the fields of its probe that are not at their default,
    ``holders`` who held the peak, for an explanation should it grow."""

    device: str
    peaks: Peaks
    settings: dict[str, Any] = {}
    holders: Holders | None = None


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """``versions`` and ``devices`` (by name) are where the entries come from; ``cases`` are by name."""

    format: int
    versions: dict[str, str]
    devices: dict[str, DeviceInfo]
    cases: dict[str, Entry]


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        UsageError: it is missing, cannot be read, or is not a baseline.
    """
    try:
        baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError:
        raise UsageError(f"there is no baseline {path}; write it with --update and commit it") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a baseline: {error}") from error
    if baseline.format != FORMAT:
        raise UsageError(f"{path} has format {baseline.format}, and this membench reads {FORMAT}; write it anew")
    return baseline


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Replace the file: sorted, one value a line.

    Raises:
        MembenchError: it cannot be written.
    """
    content = msgspec.json.encode(baseline, order="sorted")
    write_whole(path, msgspec.json.format(content, indent=2) + b"\n")


def baseline_of(
    measured: Mapping[str, Measurement],
    kept: Baseline | None = None,
    holders: Mapping[str, Holders | None] = MappingProxyType({}),
) -> Baseline:
    """The baseline of measurements that fit, by the name of their case; the entries of ``kept`` stay beside them.

    Raises:
        UsageError: the two come from different versions or devices, and one file cannot say so.
    """
    entries = {name: entry_of(measurement, holders.get(name)) for name, measurement in measured.items()}
    versions = versions_of(measured.values())
    devices = {measurement.device.name: measurement.device for measurement in measured.values() if measurement.device}
    if kept is not None and kept.cases.keys() - entries.keys():
        if environment_changes(kept, versions, devices.values()):
            raise UsageError(
                "the environment is not that of the other cases in the baseline; update all of them at once"
            )
        entries, devices = kept.cases | entries, kept.devices | devices
    used = {entry.device for entry in entries.values()}
    devices = {name: info for name, info in devices.items() if name in used}
    return Baseline(format=FORMAT, versions=versions, devices=devices, cases=entries)


def environment_changes(
    baseline: Baseline, versions: Mapping[str, str], devices: Iterable[DeviceInfo]
) -> tuple[str, ...]:
    """In what these versions and devices differ from the baseline's, a phrase each; nothing where they do not."""
    names = [name for name in DECIDING if versions and baseline.versions.get(name) != versions.get(name)]
    changed = [f"{name} {baseline.versions.get(name, 'unknown')} → {versions.get(name, 'unknown')}" for name in names]
    for info in sorted(devices, key=lambda info: info.name):
        known = baseline.devices.get(info.name)
        if known is not None and known != info:
            changed.append(f"device {info.name}: {_difference(known, info)}")
    return tuple(changed)


def _difference(known: DeviceInfo, current: DeviceInfo) -> str:
    fields = [name for name in known.__struct_fields__ if getattr(known, name) != getattr(current, name)]
    return ", ".join(f"{name} {getattr(known, name)} → {getattr(current, name)}" for name in fields)


def entry_of(measurement: Measurement, holders: Holders | None = None) -> Entry:
    spec = measurement.spec
    return Entry(device=spec.device, peaks=peaks_of(measurement), settings=settings_of(spec), holders=holders)


def peaks_of(measurement: Measurement) -> Peaks:
    return Peaks(
        peak=measurement.peak_allocated_bytes,
        reserved=measurement.peak_reserved_bytes,
        requested=measurement.peak_requested_bytes,
    )


def versions_of(measurements: Iterable[Measurement]) -> dict[str, str]:
    """The versions that a baseline holds; all measurements of one run have the same."""
    found = next((measurement.versions for measurement in measurements if measurement.versions), {})
    return {name: found[name] for name in (*DECIDING, *TOLD) if name in found}


def settings_of(spec: ProbeSpec) -> dict[str, Any]:
    """The fields of a probe and its network that are not at their default, as a configuration writes them.

    Fields that a later membench adds do not appear, and so do not make an old baseline differ.
    """
    default = ProbeSpec()
    network = _changed(spec.network, type(spec.network)())
    if isinstance(spec.network, ModelSpec):
        network = {key: network[field] for key, field in MODEL_KEYS.items() if field in network}
    step = {
        name: value for name, value in _changed(spec, default).items() if name not in ("network", "device", "timeout")
    }
    settings: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(network | step))  # as it comes out of the file
    return settings


def _changed(record: msgspec.Struct, default: msgspec.Struct) -> dict[str, Any]:
    return {
        name: format_volume(value) if name == "volume" else msgspec.to_builtins(value)
        for name in record.__struct_fields__
        if (value := getattr(record, name)) != getattr(default, name)
    }
