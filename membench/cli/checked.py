"""The result of a check, for people."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from membench.check import FORMATS, CheckResult, Format, Outcome
from membench.check.formats.words import change, explanation, headline, peak_words
from membench.check.result import MARKS, Status
from membench.check.text import printable
from membench.cli.output import note, out, plain_table, written
from membench.errors import MembenchError
from membench.units import format_bytes

STYLES: dict[Status, str] = {
    **dict.fromkeys(("limit", "regressed", "failed"), "bold red"),
    **dict.fromkeys(("incomparable", "tolerated"), "bold yellow"),
    **dict.fromkeys(("improved", "unchanged"), "bold green"),
}


def print_result(console: Console, result: CheckResult) -> None:
    """A table of all cases, and a paragraph on each that is not as it was."""
    table = plain_table("Case", "Allocated", "Reserved", "Change", "Limit", title="Peaks")
    for outcome in result.outcomes:
        table.add_row(*_row(outcome))
    console.print(table)
    for outcome in result.outcomes:
        if outcome.told:
            console.print()
            for line in _paragraph(outcome):
                console.print(line, soft_wrap=True)
    console.print()
    if result.environment:
        how = "compared anyway" if result.compared else "not compared (see --allow-environment-change)"
        differences = printable("; ".join(result.environment))
        console.print(Text(f"The environment differs from the baseline's, {how}: {differences}"), soft_wrap=True)
    against = f"against {printable(result.baseline)}" if result.baseline else "without a baseline"
    console.print(Text(f"{headline(result)}, {against}", style="bold"), soft_wrap=True)


def _row(outcome: Outcome) -> Iterator[Text]:
    style = STYLES.get(outcome.status, "")
    yield Text.assemble((f"{MARKS[outcome.status]} ", style), printable(outcome.name))
    yield from map(Text, peak_words(outcome))
    yield Text(change(outcome), style=style)
    yield Text(format_bytes(outcome.limit) if outcome.limit is not None else "")


def _paragraph(outcome: Outcome) -> Iterator[Text]:
    style = STYLES.get(outcome.status, "")
    first, *others = map(printable, explanation(outcome))
    yield Text.assemble((f"{MARKS[outcome.status]} ", style), (printable(outcome.name), "bold"), f": {first}")
    yield from (Text(f"    {line}") for line in others)


def write_result(result: CheckResult, form: Format | None, output: Path | None) -> None:
    """Show the table, or the format on standard output or in a file; in GitHub Actions the job's summary gets it too.

    Raises:
        MembenchError: a file cannot be written.
    """
    if form is None or output is not None:
        print_result(out(), result)
    if form is not None and output is None:
        typer.echo(FORMATS[form](result), nl=False)
    if form is not None and output is not None:
        with _writable(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(FORMATS[form](result), encoding="utf-8")
        written(output)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        _add_to_summary(Path(summary), FORMATS["markdown"](result))


def _add_to_summary(path: Path, text: str) -> None:
    """Nobody asked for it, so that it cannot be written is told, and decides nothing."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        note(f"the job's summary is not written, {path}: {(error.strerror or str(error)).lower()}")


@contextmanager
def _writable(path: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MembenchError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error
