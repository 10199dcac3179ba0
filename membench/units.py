"""Bytes are integers everywhere; they are read and written for people only here."""

import re
from decimal import ROUND_FLOOR, Decimal

from membench.errors import UsageError

# Voxels of a volume: depth, height, width.
Volume = tuple[int, int, int]

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": 1024**4,
}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)


def parse_bytes(text: str) -> int:
    """Read a positive number of bytes such as ``16GiB``, ``500 MB`` or ``1073741824``.

    Decimal units (GB) are powers of 1000, binary units (GiB) powers of 1024; fractions are rounded down.

    Raises:
        UsageError: the text is not a size, or is less than one byte.
    """
    match = _PATTERN.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise UsageError(f"{text!r} is not a size in bytes; write for example 16GiB, 500MB or 1073741824")
    count = int((Decimal(match[1]) * _UNITS[match[2]]).to_integral_value(ROUND_FLOOR))
    if count < 1:
        raise UsageError(f"{text!r} is less than one byte; a size must be positive")
    return count


def format_bytes(count: int) -> str:
    """Write a number of bytes in the binary unit that keeps it readable: ``15.93 GiB``, ``512 B``."""
    for unit, size in (("TiB", 1024**4), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


def parse_volume(text: str) -> Volume:
    """Read a volume in voxels, ``DxHxW`` such as ``240x240x160``, or one number for a cube.

    Raises:
        UsageError: the text is not one or three positive whole numbers.
    """
    parts = text.lower().split("x")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts) or len(parts) not in (1, 3):
        raise UsageError(f"{text!r} is not a volume; write for example 128x128x128, or 128 for a cube")
    sides = [int(part) for part in parts]
    return (sides[0], sides[0], sides[0]) if len(sides) == 1 else (sides[0], sides[1], sides[2])


def format_volume(volume: Volume) -> str:
    """Write a volume as ``DxHxW`` voxels."""
    return "x".join(str(side) for side in volume)
