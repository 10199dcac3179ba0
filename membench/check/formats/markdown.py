"""Markdown for a job summary or a comment on a pull request: a headline, a table, and why, where something is wrong."""

from collections.abc import Iterator

from membench.check.formats.words import change, explanation, headline, peak_words
from membench.check.result import MARKS, CheckResult, Outcome
from membench.check.text import markdown
from membench.units import format_bytes


def markdown_page(result: CheckResult) -> str:
    return "\n".join(_lines(result)) + "\n"


def _lines(result: CheckResult) -> Iterator[str]:
    yield f"### GPU memory: {headline(result)}"
    yield ""
    yield "| | Case | Device | Peak allocated | Peak reserved | Change | Limit |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for outcome in result.outcomes:
        yield f"| {' | '.join(_cells(outcome))} |"
    told = [outcome for outcome in result.outcomes if outcome.told]
    if told:
        yield ""
    for outcome in told:
        first, *others = explanation(outcome)
        yield f"- {MARKS[outcome.status]} **{markdown(outcome.name)}**: {markdown(first)}"
        yield from (f"    - {markdown(line)}" for line in others)
    if result.environment:
        yield ""
        how = "compared anyway" if result.compared else "not compared"
        yield f"The environment differs from the baseline's ({how}): {markdown('; '.join(result.environment))}."
    yield ""
    yield f"<sub>{markdown(', '.join(f'{name} {version}' for name, version in result.versions.items()))}</sub>"


def _cells(outcome: Outcome) -> Iterator[str]:
    yield MARKS[outcome.status]
    yield markdown(outcome.name)
    yield markdown(outcome.device)
    yield from map(markdown, peak_words(outcome))
    yield change(outcome)
    yield format_bytes(outcome.limit) if outcome.limit is not None else ""
