"""Who held the peak of a test, as a table of plain text."""

from collections.abc import Iterator
from pathlib import Path

from membench.check.text import printable
from membench.profile import Analysis, Peak
from membench.snapshot import read_snapshot
from membench.units import format_bytes

HOLDERS_TOLD = 10


def peak_table(snapshot: Path) -> str:
    """What a recorded run held at its peak: the categories, and the modules and lines that held most.

    Raises:
        MembenchError: there is no such recording, or it does not tell.
    """
    return "\n".join(printable(line) for line in _lines(Analysis(read_snapshot(snapshot)).profile.peak))


def _lines(peak: Peak) -> Iterator[str]:
    where = ", ".join(part for part in (peak.phase, peak.module) if part)
    yield f"{format_bytes(peak.allocated_bytes)} allocated, {format_bytes(peak.reserved_bytes)} reserved ({where})"
    yield ", ".join(f"{name} {format_bytes(size)}" for name, size in peak.categories.items() if size)
    told, rest = peak.holders[:HOLDERS_TOLD], peak.holders[HOLDERS_TOLD:]
    for holder in told:
        place = "  ".join(part for part in (holder.module, holder.line) if part)
        yield f"{format_bytes(holder.bytes):>12}  {holder.category:<15}  {place}".rstrip()
    if rest:
        yield f"{format_bytes(sum(holder.bytes for holder in rest)):>12}  in {len(rest)} other places"
