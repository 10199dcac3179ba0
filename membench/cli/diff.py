"""``membench diff``: what grew between two profiles, or two measurements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from membench.cli.options import Json
from membench.cli.output import Folded, note, out, plain_table, print_json
from membench.errors import named_file
from membench.profile.diff import Change, Difference, difference
from membench.units import format_bytes

_ROWS = 12
_SIDE = "A profile's folder, its profile.json or snapshot.pickle, or what membench measure --json printed."
Before = Annotated[Path, typer.Argument(metavar="A", help=_SIDE, show_default=False)]
After = Annotated[Path, typer.Argument(metavar="B", help="The same, to be compared with it.", show_default=False)]


def diff(before: Before, after: After, json: Json = False) -> int:
    """Say what grew from A to B, two profiles or measurements.

    It is told by category, by module, and by line of code.

    Exit code: 0 compared, whatever grew, 2 bad usage, or A or B is not such a file. membench check is
    the command that judges.
    """
    with named_file():
        found = difference(before, after)
    if json:
        print_json(found)
    else:
        _show(found)
    return 0


def _show(found: Difference) -> None:
    for table in (
        _settings(found),
        _table("Peak", found.peaks),
        _table("By category", found.categories),
        _table("By module", found.modules),
        _table("By line of code", found.lines),
    ):
        if table.row_count:
            out().print(table, "")
    if not any(change.grown for change in found.peaks):
        out().print("The peaks are equal.")
    for sentence in found.notes:
        note(sentence)


def _settings(found: Difference) -> Table:
    table = plain_table("Setting", "A", "B", title="Asked for differently")
    for name, sides in found.settings.items():
        table.add_row(name, *map(Folded, sides))
    return table


def _table(title: str, changes: Sequence[Change]) -> Table:
    table = plain_table(title, "A", "B", "Grown", "")
    for change in changes[:_ROWS]:
        table.add_row(Folded(change.name or "unknown"), *_sizes(change))
    rest = changes[_ROWS:]
    if rest:
        before, after = sum(change.before for change in rest), sum(change.after for change in rest)
        table.add_row(f"{len(rest)} more", *_sizes(Change(name="", before=before, after=after)), style="dim")
    return table


def _sizes(change: Change) -> tuple[str, str, Text, str]:
    """A, B, what was grown in a colour that says which way, and how much that is of A."""
    style = "red" if change.grown > 0 else "green" if change.grown < 0 else ""
    grown = Text(f"{'+' if change.grown > 0 else ''}{format_bytes(change.grown)}", style=style)
    relative = f"{change.grown / change.before:+.1%}" if change.before and change.grown else ""
    return format_bytes(change.before), format_bytes(change.after), grown, relative
