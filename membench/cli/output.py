"""Where commands write: results on standard output, everything else on standard error."""

from collections.abc import Iterable
from typing import Any

import msgspec
import typer
from rich.console import Console
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


def out() -> Console:
    """The console of results; made when it is used, so that it is the standard output of that moment."""
    return Console(highlight=False)


def err() -> Console:
    """The console of progress and notices."""
    return Console(stderr=True, highlight=False)


def note(sentence: str) -> None:
    """Tell what the user should know beside the result."""
    err().print(Text(f"Note: {sentence}", style="yellow"), soft_wrap=True)


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


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and values below one another; pairs without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(name, value if isinstance(value, Text) else Text(value))
    return grid


def plain_table(name: str, *numbers: str, title: str | None = None) -> Table:
    """A table without lines: one column of names, and columns of numbers."""
    table = Table(box=None, header_style="dim", pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column(name, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
