"""The command line that repeats one probe."""

import shlex
from typing import Any

from membench.spec import ProbeSpec
from membench.units import GIB, KIB, MIB, format_volume

_ALWAYS = ("device", "budget", "strategy", "volume")


def measure_command(spec: ProbeSpec) -> str:
    """The ``membench measure`` command that runs exactly this probe, quoted for a POSIX shell.

    What identifies a probe for a reader is always written; other options only where they are not at their default.
    """
    return _command("measure", spec)


def profile_command(spec: ProbeSpec) -> str:
    """The ``membench profile`` command that records exactly this probe."""
    return _command("profile", spec)


def _command(command: str, spec: ProbeSpec) -> str:
    words = ["membench", command]
    for name in _ALWAYS:
        if getattr(spec, name) is not None and (name != "volume" or name in spec.network.axes):
            words += _option(name, getattr(spec, name))
    for name in spec.__struct_fields__:
        if name not in (*_ALWAYS, "network") and getattr(spec, name) != getattr(ProbeSpec(), name):
            words += _option(name.replace("_", "-"), getattr(spec, name))
    for option, value in spec.network.options():
        words += _option(option, value)
    return shlex.join(words)


def _option(option: str, value: Any) -> list[str]:
    """Options are named after the fields, so a new field of the records needs no line here."""
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if option == "budget":
        return [f"--{option}", _exact_bytes(value)]
    return [f"--{option}", format_volume(value) if isinstance(value, tuple) else str(value)]


def _exact_bytes(count: int) -> str:
    """``16GiB`` where nothing is lost by it, else the bare number of bytes."""
    exact = (f"{count // size}{unit}" for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)) if count % size == 0)
    return next(exact, str(count))
