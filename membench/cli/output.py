"""Where commands write: results on standard output, everything else on standard error."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement as Width
from rich.table import Table
from rich.text import Text

from membench.result import Measurement

VERDICTS = {
    "fits": ("✓ fits", "bold green"),
    "oom": ("✗ out of memory", "bold yellow"),
    "error": ("! error", "bold red"),
    "timeout": ("! timed out", "bold red"),
    "crashed": ("! crashed", "bold red"),
}
# Where words end, but not between a number and its unit; and where a long one may be folded: behind the separators of
# paths and names, but neither within a number nor before the ending of a file.
_WORD = re.compile(r"(?<= )(?! |(?:[KMGT]i)?B\b|%)")
_PIECE = re.compile(r"(?<=[/_:])(?=[^\W\d])|(?<=\.)(?=[^\W\d])(?!\w+:\d)")


def out() -> Console:
    """The console of results; made when it is used, so that it is the standard output of that moment."""
    return Console(highlight=False)


def err() -> Console:
    """The console of progress and notices."""
    return Console(stderr=True, highlight=False)


def note(sentence: str) -> None:
    """Tell what the user should know beside the result."""
    err().print(Text(f"Note: {sentence}", style="yellow"), soft_wrap=True)


def written(path: Path) -> None:
    """Say where a file was written that was asked for beside the result."""
    err().print(Text(f"Written to {path}"), soft_wrap=True)


def print_json(document: Any) -> None:
    """Write one JSON document; records become objects."""
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def verdict(status: str) -> Text:
    words, style = VERDICTS[status]
    return Text(words, style=style)


def exactness(found: Measurement) -> Text:
    """``yes``, or ``no`` and why; empty where it is not known."""
    if found.exact is None:
        return Text("")
    return Text("yes") if found.exact else Text("no: ", style="yellow").append("; ".join(found.inexact_because))


class Folded:
    """Text of names, paths and numbers in a cell: folded at spaces, and a name that is too long behind a separator.

    A number keeps its unit. Only a piece that is too long by itself is cut anywhere.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n".join(_fold(self.text, options.max_width)), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Width:
        pieces = (cell_len(piece.rstrip()) for word in _WORD.split(self.text) for piece in _PIECE.split(word))
        lines = map(cell_len, self.text.splitlines())
        return Width(max(pieces, default=0), max(lines, default=0)).with_maximum(options.max_width)


def _fold(text: str, width: int) -> Iterator[str]:
    for whole in text.splitlines():
        line = ""
        for word in _WORD.split(whole):
            fits = cell_len(word.rstrip()) <= width
            for piece in [word] if fits else _PIECE.split(word):
                if line and cell_len(line + piece.rstrip()) > width:
                    yield line.rstrip()
                    line = ""
                line += piece
        yield line.rstrip()


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and values below one another; pairs without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(name, value if isinstance(value, Text) else Folded(value))
    return grid


def plain_table(name: str, *numbers: str, title: str | None = None) -> Table:
    """A table without lines: one column of names, folded before a number is cut, and columns of numbers."""
    table = Table(box=None, header_style="dim", pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column(name, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
