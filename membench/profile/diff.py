"""What grew between two profiles, or two measurements: by category, by module, by line of code."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from membench.errors import MembenchError, UsageError
from membench.probe.recording import Category
from membench.profile.analysis import Analysis
from membench.profile.records import Profile
from membench.result import Measurement
from membench.snapshot import read_snapshot
from membench.units import format_volume

PROFILE_FILE = "profile.json"
SNAPSHOT_FILE = "snapshot.pickle"
_PEAKS = ("peak_allocated_bytes", "peak_reserved_bytes", "peak_requested_bytes", "largest_workspace_bytes")
T = TypeVar("T")
_LINE_NUMBER = re.compile(r":\d+(?= )")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is held under one name, before and after, in bytes."""

    name: str
    before: int
    after: int

    @property
    def grown(self) -> int:
        return self.after - self.before


class HolderChange(msgspec.Struct, frozen=True, kw_only=True):
    """What one module holds in one category by one line of code, before and after, in bytes.

    A line is the same if it is of the same function: its number may have moved. ``line`` is that of afterwards, or of
    before where nothing is held any more.
    """

    category: Category
    module: str
    line: str
    before: int
    after: int

    @property
    def grown(self) -> int:
        return self.after - self.before


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Two peaks compared; in each table what changed most is first, and what did not change is left out.

    Of two measurements only ``peaks`` are known. ``lines`` are the holders of all modules by the line itself, with the
    category. ``settings`` are the options in which the two probes differ, ``notes``
    what a reader must know. The changes of the categories, of the modules, of the lines and of the holders each add up
    to that of the peak allocated.
    """

    peaks: tuple[Change, ...]
    categories: tuple[Change, ...] = ()
    modules: tuple[Change, ...] = ()
    lines: tuple[Change, ...] = ()
    holders: tuple[HolderChange, ...] = ()
    settings: dict[str, tuple[str, str]] = {}
    notes: tuple[str, ...] = ()


def compare(before: Profile, after: Profile) -> Difference:
    """What grew from one profile to the other."""
    first, second = before.measurement, after.measurement
    told = _told(first, second) if first and second else Difference(peaks=())
    return msgspec.structs.replace(
        told,
        peaks=(
            Change(name="allocated", before=before.peak.allocated_bytes, after=after.peak.allocated_bytes),
            Change(name="reserved at that moment", before=before.peak.reserved_bytes, after=after.peak.reserved_bytes),
            Change(name="requested", before=before.peak.requested_bytes, after=after.peak.requested_bytes),
        ),
        categories=_changes(before.peak.categories, after.peak.categories),
        modules=_changes(before.peak.modules, after.peak.modules),
        lines=_changes(_by_line(before), _by_line(after)),
        holders=_holders(before, after),
    )


def compare_measurements(before: Measurement, after: Measurement) -> Difference:
    """What grew from one measurement to the other: the peaks, which is all that they know."""
    return _told(before, after)


def read_side(path: Path) -> Profile | Measurement:
    """One side of a comparison: a profile's folder, its ``profile.json``, a snapshot, or the JSON of a measurement.

    Raises:
        UsageError: there is no such file, or it is nothing of these.
        MembenchError: it is a snapshot that cannot be analysed.
    """
    file = path
    if path.is_dir():
        file = next((path / name for name in (PROFILE_FILE, SNAPSHOT_FILE) if (path / name).exists()), path)
        if file == path:
            raise UsageError(f"{path} holds no profile: neither {PROFILE_FILE} nor {SNAPSHOT_FILE} is in it")
    if file.suffix in (".pickle", ".pkl"):
        return Analysis(read_snapshot(file)).profile
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from error
    profile = _decoded(content, Profile)
    if profile is not None:
        return profile
    measurement = _decoded(content, Measurement)
    if measurement is not None:
        return measurement
    raise UsageError(
        f"{file} is neither a profile nor a measurement; membench profile --json and measure --json write them"
    )


def difference(before: Path, after: Path) -> Difference:
    """Compare what two paths hold, see `read_side`.

    Raises:
        UsageError, MembenchError: see `read_side`; a profile cannot be compared with a measurement alone.
    """
    first, second = read_side(before), read_side(after)
    if isinstance(first, Profile) and isinstance(second, Profile):
        return compare(first, second)
    measured = [side.measurement if isinstance(side, Profile) else side for side in (first, second)]
    if measured[0] is None or measured[1] is None:
        raise MembenchError("a snapshot from elsewhere can be compared with a profile, not with a measurement")
    return compare_measurements(measured[0], measured[1])


def _decoded(content: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _told(before: Measurement, after: Measurement) -> Difference:
    found = ((name, getattr(before, name), getattr(after, name)) for name in _PEAKS)
    return Difference(
        peaks=tuple(Change(name=_words(name), before=a, after=b) for name, a, b in found if None not in (a, b)),
        settings=_settings(before, after),
        notes=tuple(_notes(before, after)),
    )


def _words(field: str) -> str:
    return field.removesuffix("_bytes").removeprefix("peak_").replace("_", " ")


def _settings(before: Measurement, after: Measurement) -> dict[str, tuple[str, str]]:
    """The fields of the probe in which the two differ, those of its network by their own names."""
    first, second = _flat(msgspec.to_builtins(before.spec)), _flat(msgspec.to_builtins(after.spec))
    return {
        name.replace("_", " "): (str(first.get(name, "–")), str(second.get(name, "–")))
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    }


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    network = fields.get("network", {})
    return {**network, **fields, "volume": format_volume(fields["volume"]), "network": None}


def _notes(before: Measurement, after: Measurement) -> Iterable[str]:
    for side, found in (("first", before), ("second", after)):
        if found.status != "fits":
            yield f"The {side} ended with {found.status}: its peak is what was held until then."
    versions = {
        name: (before.versions.get(name, "–"), after.versions.get(name, "–"))
        for name in {**before.versions, **after.versions}
        if before.versions.get(name) != after.versions.get(name)
    }
    if versions:
        told = ", ".join(f"{name} {one} and {other}" for name, (one, other) in sorted(versions.items()))
        yield f"The two were made with different versions: {told}."


def _by_line(profile: Profile) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for holder in profile.peak.holders:
        sums[f"{holder.line or 'unknown'}, {holder.category}"] += holder.bytes
    return sums


def _changes(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Change, ...]:
    names = dict.fromkeys((*before, *after))
    found = (Change(name=name, before=before.get(name, 0), after=after.get(name, 0)) for name in names)
    return tuple(sorted((change for change in found if change.grown), key=lambda change: -abs(change.grown)))


def _holders(before: Profile, after: Profile) -> tuple[HolderChange, ...]:
    sizes: dict[tuple[Category, str, str], list[int]] = defaultdict(lambda: [0, 0])
    lines: dict[tuple[Category, str, str], str] = {}
    for side, profile in enumerate((before, after)):
        for holder in profile.peak.holders:
            key = (holder.category, holder.module, _LINE_NUMBER.sub("", holder.line))
            sizes[key][side] += holder.bytes
            lines[key] = holder.line
    found = (
        HolderChange(category=key[0], module=key[1], line=lines[key], before=a, after=b)
        for key, (a, b) in sizes.items()
        if a != b
    )
    return tuple(sorted(found, key=lambda change: -abs(change.grown)))
