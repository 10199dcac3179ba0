"""A profile on the terminal: the peak, who holds it, and what would help."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from membench.cli.output import VERDICTS, Folded, facts, plain_table
from membench.profile import Held, Moment, Profile, Remedy
from membench.units import format_bytes

_ROWS = 8
_BAR = 24


def print_profile(console: Console, found: Profile, files: Sequence[Path]) -> None:
    """The peak and its moment, the categories, modules and tensors that hold it, the remedies, the files."""
    console.print(Panel(facts(_facts(found)), title=_title(found), title_align="left", expand=False), "")
    for table in (_categories(found), _modules(found), _largest(found), _remedies(found)):
        if table.row_count:
            console.print(table, "")
    for note in found.notes:
        console.print(Text(f"Note: {note}", style="yellow"), soft_wrap=True)
    first, *others = files
    console.print(Text(f"Report: {first}", style="bold"), soft_wrap=True)
    console.print(Text("Beside it: " + ", ".join(file.name for file in others)))


def where(at: Moment) -> str:
    """``backward, decoder.0.blocks.1.g.project, aten.convolution_backward.default``."""
    return ", ".join(filter(None, (at.phase, at.module, at.op))) or "unknown"


def _title(found: Profile) -> str:
    if found.measurement is None:
        return "snapshot"
    spec = found.measurement.spec
    return f"{spec.variant}, {spec.network.size_words(spec.volume, spec.batch)}, {spec.device}"


def _facts(found: Profile) -> Iterator[tuple[str, str]]:
    peak = found.peak
    yield "Peak allocated", f"{format_bytes(peak.allocated_bytes)} ({peak.allocated_bytes:,} bytes)"
    yield "When", where(peak.at) + ("" if peak.at.step is None else f", step {peak.at.step + 1}")
    yield "Line", peak.at.line
    yield "Reserved at that moment", format_bytes(peak.reserved_bytes)
    lost = f"{format_bytes(peak.fragmentation_bytes)} in {len(peak.segments)} segments"
    yield "Reserved, not allocated", f"{lost}, {peak.fragmentation_bytes / max(peak.reserved_bytes, 1):.1%}"
    yield "By phase", ", ".join(f"{phase} {format_bytes(most)}" for phase, most in found.phases.items())
    if found.refused:
        refused = found.refused
        yield "Out of memory", f"{format_bytes(refused.asked_bytes)} were asked for in {where(refused.at)}"
        yield (
            "Held then",
            f"{format_bytes(refused.allocated_bytes)} allocated, {format_bytes(refused.reserved_bytes)} reserved",
        )


def _categories(found: Profile) -> Table:
    table = plain_table("Category", "Peak", "Share", title="By category")
    table.add_column("")
    table.add_column("of which")
    whole = found.peak.allocated_bytes
    for category, size in found.peak.categories.items():
        if size:
            kinds = [kind for kind in found.peak.kinds if kind.category == category]
            told = (
                ", ".join(f"{kind.what} {format_bytes(kind.bytes)}" for kind in kinds)
                if len(kinds) > 1
                else kinds[0].what
            )
            table.add_row(
                category, format_bytes(size), f"{size / whole:.1%}", "█" * round(_BAR * size / whole), Folded(told)
            )
    return table


def _modules(found: Profile) -> Table:
    table = plain_table("Module", "Peak", "Share", title="By module")
    modules = [(name, size) for name, size in found.peak.modules.items() if name]
    for name, size in modules[:_ROWS]:
        table.add_row(Folded(name), format_bytes(size), f"{size / found.peak.allocated_bytes:.1%}")
    rest = modules[_ROWS:]
    if rest:
        size = sum(size for _, size in rest)
        table.add_row(f"{len(rest)} more", format_bytes(size), f"{size / found.peak.allocated_bytes:.1%}", style="dim")
    return table


def _largest(found: Profile) -> Table:
    table = plain_table("Held", title="Largest")
    for heading in ("What it is", "Where it was made"):
        table.add_column(heading)
    for held in found.peak.largest:
        what = f"{held.category}, {held.what}\n{tensor_words(held)}"
        table.add_row(format_bytes(held.bytes), Folded(what), Folded(f"{held.module}\n{held.line}".strip()))
    return table


def tensor_words(held: Held) -> str:
    """``1×96×64×64×64 float32``, with its name where it has one; of what is no tensor, the operation."""
    if held.shape is None:
        return held.op
    shape = "×".join(map(str, held.shape)) or "scalar"
    return f"{held.name} {shape} {held.dtype}".strip()


def _remedies(found: Profile) -> Table:
    table = plain_table("Setting", "Saves reserved", "Peak reserved", title="What would help, by running it again")
    table.add_column("Against")
    for remedy in found.remedies:
        name = remedy.setting + ("" if remedy.same_training else " *")
        peak = format_bytes(remedy.measurement.peak_reserved_bytes)
        table.add_row(Folded(name), _saved(remedy), peak, Folded(remedy.against), style="" if _helps(remedy) else "dim")
    if not all(remedy.same_training for remedy in found.remedies):
        table.caption, table.caption_justify = "* trains differently", "left"
    return table


def _helps(remedy: Remedy) -> bool:
    saved = remedy.saved_reserved_bytes
    return remedy.measurement.fits if saved is None else saved > 0


def _saved(remedy: Remedy) -> str:
    saved = remedy.saved_reserved_bytes
    return VERDICTS[remedy.measurement.status][0] if saved is None else format_bytes(saved)
