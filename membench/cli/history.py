"""``membench history`` and ``membench bisect-help``: the peaks of a project's cases over its commits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from membench.check import Config, find_config, load_config
from membench.check.bisect import bisect_commands
from membench.check.compare import change_words
from membench.check.history import Record, last_rise, read_history
from membench.check.text import printable
from membench.cli.check import ConfigFile
from membench.cli.options import Json
from membench.cli.output import note, out, plain_table, print_json, written
from membench.errors import UsageError
from membench.store import write_whole
from membench.units import format_bytes

BAR = 12
OTHERS = 70  # columns that stand beside the subject

CaseName = Annotated[str | None, typer.Option("--case", metavar="NAME", help="Only this case.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Draw the peaks in an HTML file too.")]
Last = Annotated[int, typer.Option(help="Commits that are shown, the newest; of all the file keeps.", min=1)]
Good = Annotated[str | None, typer.Option(metavar="COMMIT", help="Took less.", show_default="from the history")]
Bad = Annotated[
    str | None, typer.Option(metavar="COMMIT", help="Takes more.", show_default="from the history, or HEAD")
]


def history(
    config: ConfigFile = None, case: CaseName = None, html: HtmlFile = None, last: Last = 20, json: Json = False
) -> int:
    """Show what each case took, commit by commit.

    membench check --record adds the commit that is checked out.

    Exit code: 0 done, 1 the HTML cannot be written, 2 bad usage or no history.
    """
    plan = load_config(config or find_config(Path()))
    records = _records(plan)
    names = [case] if case else _names(plan, records)
    if case and not any(case in record.cases for record in records):
        raise UsageError(f"{plan.history} has nothing of a case {case!r}")
    if html is not None:
        from membench.report.history import history_html

        write_whole(html, history_html(records, names).encode())
        written(html)
    if json:
        print_json([msgspec.to_builtins(record) for record in records])
    else:
        for name in names:
            known = [record for record in records if name in record.cases][-last:]
            console = out()
            console.print(Text(printable(name), style="bold"), soft_wrap=True)
            console.print(_table(name, known, console.width))
            console.print()
    return 0


def bisect_help(
    case: Annotated[str, typer.Option("--case", metavar="NAME")],
    config: ConfigFile = None,
    good: Good = None,
    bad: Bad = None,
) -> int:
    """Print the commands that find the commit behind a rise.

    They are for a shell in the repository, with a clean checkout; run them, or pipe them into sh.

    Exit code: 0 done, 2 bad usage, or a history in which the case did not rise.
    """
    path = config or find_config(Path())
    plan = load_config(path)
    if case not in {known.name for known in plan.cases}:
        raise UsageError(f"{path}: there is no case {case!r}")
    if good is None:
        rise = last_rise(_records(plan), case)
        if rise is None:
            raise UsageError(f"in {plan.history} the case {case!r} never took less than now; name a commit with --good")
        good, bad = rise.good.id, bad or rise.bad.id
    for line in bisect_commands(path, case, good, bad or "HEAD"):
        typer.echo(line)
    return 0


def _records(plan: Config) -> tuple[Record, ...]:
    records, notices = read_history(plan.history)
    for notice in notices:
        note(notice)
    return records


def _names(plan: Config, records: Sequence[Record]) -> list[str]:
    """The configuration's cases that were recorded, in its order, and then those that it has no more."""
    recorded = {name: None for record in records for name in record.cases}
    return [case.name for case in plan.cases if case.name in recorded] + sorted(
        recorded.keys() - {case.name for case in plan.cases}
    )


def _table(name: str, records: Sequence[Record], width: int) -> Table:
    """A line for each commit; the subject has what the terminal's width leaves it."""
    table = plain_table("Commit", "Allocated", "Reserved", "Change")
    table.add_column("", no_wrap=True)
    table.add_column("Subject", no_wrap=True)
    room = max(10, width - OTHERS)
    most = max((peaks.peak for record in records if (peaks := record.cases[name])), default=1)
    for record, row in zip(records, _rows(name, records), strict=True):
        peaks = record.cases[name]
        bar = "█" * max(1, round(BAR * peaks.peak / most)) if peaks else ""
        subject = Text(printable(record.commit.subject))
        subject.truncate(room, overflow="ellipsis")
        table.add_row(Text(printable(record.commit.short)), *row, bar, subject)
    return table


def _rows(name: str, records: Sequence[Record]) -> Iterator[tuple[str, str, Text]]:
    before = None
    for record in records:
        peaks = record.cases[name]
        if peaks is None:
            yield "–", "–", Text("did not fit, or failed", style="bold red")
            continue
        rose = before is not None and peaks.peak > before
        words = change_words(before, peaks.peak) if before not in (None, peaks.peak) else ""
        yield format_bytes(peaks.peak), format_bytes(peaks.reserved), Text(words, style="bold red" if rose else "green")
        before = peaks.peak
