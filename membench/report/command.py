"""The command line that repeats one probe."""

import shlex
from typing import Any

import msgspec

from membench.spec import NetworkSpec, ProbeSpec
from membench.units import GIB, KIB, MIB, format_volume

_ALWAYS = ("device", "budget", "strategy", "volume")


def measure_command(spec: ProbeSpec) -> str:
    """The ``membench measure`` command that runs exactly this probe, quoted for a POSIX shell.

    What identifies a probe for a reader is always written; other options only where they are not at their default.
    """
    words = ["membench", "measure"]
    for name in _ALWAYS:
        if getattr(spec, name) is not None:
            words += _option(name, getattr(spec, name))
    for record, default in ((spec, ProbeSpec()), (spec.network, NetworkSpec())):
        words += _changed(record, default)
    return shlex.join(words)


def _changed(record: msgspec.Struct, default: msgspec.Struct) -> list[str]:
    """Options are named after the fields, so a new field of the records needs no line here."""
    names = [name for name in record.__struct_fields__ if name not in (*_ALWAYS, "network")]
    changed = [name for name in names if getattr(record, name) != getattr(default, name)]
    return [word for name in changed for word in _option(name, getattr(record, name))]


def _option(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if name == "budget":
        return [f"--{option}", _exact_bytes(value)]
    return [f"--{option}", format_volume(value) if isinstance(value, tuple) else str(value)]


def _exact_bytes(count: int) -> str:
    """``16GiB`` where nothing is lost by it, else the bare number of bytes."""
    exact = (f"{count // size}{unit}" for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)) if count % size == 0)
    return next(exact, str(count))
