"""Measurements on disk: append-only JSON Lines, the only persistence. What is written is never measured again."""

import fcntl
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from membench.errors import MembenchError
from membench.result import DeviceInfo, Measurement
from membench.spec import ProbeSpec

RESULTS = "results.jsonl"
LOCK = ".lock"
T = TypeVar("T")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where measurements come from; those of another device or of other library versions are not comparable."""

    device: DeviceInfo
    versions: dict[str, str]

    def made(self, measurement: Measurement) -> bool:
        """Whether the measurement comes from here. A probe that failed early may know too little to say otherwise."""
        if measurement.status not in ("fits", "oom") and (measurement.device is None or not measurement.versions):
            return True
        return measurement.device == self.device and measurement.versions == self.versions


class Records:
    """Measurements by probe and provenance; the latest of equals counts."""

    def __init__(self, measurements: Iterable[Measurement] = ()) -> None:
        self._by_key: defaultdict[str, list[Measurement]] = defaultdict(list)
        for measurement in measurements:
            self.add(measurement)

    def __iter__(self) -> Iterator[Measurement]:
        return (measurement for same in self._by_key.values() for measurement in same)

    def add(self, measurement: Measurement) -> None:
        self._by_key[measurement.spec.key()].append(measurement)

    def get(self, spec: ProbeSpec, provenance: Provenance) -> Measurement | None:
        """The latest measurement of this probe that was made with this provenance."""
        return next(filter(provenance.made, reversed(self._by_key.get(spec.key(), []))), None)


class Store:
    """The results of one folder, open for writing by one process at a time; a context manager.

    ``notices`` tells what was set aside while opening. ``get`` and ``put`` may be called from any thread.

    Raises:
        MembenchError: the folder cannot be written, or another process has it open.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.Lock()
        with _explained(folder, "write"):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._acquire()
            with _explained(folder, "write"):
                content = _read(folder)
                measurements, damaged = _parse(content)
                self.notices = _set_aside(folder, measurements, damaged) if damaged else ()
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(folder / RESULTS, flags, 0o644)
                if content and not damaged and not content.endswith(b"\n"):
                    os.write(self._file, b"\n")
        except BaseException:
            os.close(self._lock)
            raise
        self._records = Records(measurements)

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MembenchError(
                f"another membench is writing to {self.folder}; wait for it to end or choose another --out folder"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def get(self, spec: ProbeSpec, provenance: Provenance) -> Measurement | None:
        """The latest measurement of this probe that was made with this provenance."""
        with self._guard:
            return self._records.get(spec, provenance)

    def put(self, measurement: Measurement) -> None:
        """Add a measurement; it is on disk when this returns.

        Raises:
            MembenchError: it could not be written, for example because the disk is full.
        """
        line = _line(measurement)
        with self._guard, _explained(self.folder, "write"):
            # One write, so that a kill leaves a whole line or a cut one at the end, never two mixed.
            if os.write(self._file, line) != len(line):
                raise OSError(0, "no space left")
            os.fsync(self._file)
            self._records.add(measurement)


def read_records(folder: Path) -> tuple[Records, tuple[str, ...]]:
    """The measurements in a folder and notices about unreadable lines; changes nothing, so a sweep may be running.

    Raises:
        MembenchError: the folder cannot be read.
    """
    with _explained(folder, "read"):
        measurements, damaged = _parse(_read(folder))
    notices = (f"{folder / RESULTS}: {len(damaged)} unreadable line(s) left out",) if damaged else ()
    return Records(measurements), notices


def decode(data: bytes, kind: type[T]) -> T:
    """Read a record from JSON, also one from before there were models of the user's, when networks had no kind.

    Raises:
        msgspec.MsgspecError: it is no such record.
    """
    return msgspec.convert(_with_kinds(msgspec.json.decode(data)), kind)


def _with_kinds(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_kinds(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _with_kinds(each) for name, each in value.items()}
    if isinstance(found.get("network"), dict):
        found["network"] = {"kind": "unet", **found["network"]}
    return found


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file so that a kill at any moment leaves either its old or its new content.

    Raises:
        MembenchError: it cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    with _explained(path.parent, "write"):
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def _read(folder: Path) -> bytes:
    path = folder / RESULTS
    return path.read_bytes() if path.exists() else b""


def _line(measurement: Measurement) -> bytes:
    return msgspec.json.encode(measurement) + b"\n"


def _parse(content: bytes) -> tuple[list[Measurement], list[bytes]]:
    """Whole records, and the lines that are none."""
    measurements, damaged = [], []
    for line in filter(None, content.split(b"\n")):
        try:
            measurements.append(decode(line, Measurement))
        except msgspec.MsgspecError:
            damaged.append(line)
    return measurements, damaged


def _set_aside(folder: Path, measurements: Iterable[Measurement], damaged: list[bytes]) -> tuple[str, ...]:
    """Move damaged lines to a file of their own, before they leave the results; returns a notice that names it."""
    names = (f"{RESULTS}.tail{suffix}" for suffix in ("", *(f".{number}" for number in range(1, 10_000))))
    tail = next(folder / name for name in names if not (folder / name).exists())
    write_whole(tail, b"\n".join(damaged) + b"\n")
    write_whole(folder / RESULTS, b"".join(map(_line, measurements)))
    return (f"{folder / RESULTS}: {len(damaged)} unreadable line(s) set aside in {tail.name}; whole records are kept",)


@contextmanager
def _explained(folder: Path, action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MembenchError(f"cannot {action} results in {folder}: {(error.strerror or str(error)).lower()}") from error
