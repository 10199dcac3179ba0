"""What several formats say in the same words."""

from collections.abc import Iterator

from membench.check.compare import change_words
from membench.check.result import WORDS, CheckResult, Growth, Outcome
from membench.units import format_bytes


def headline(result: CheckResult) -> str:
    """``1 regressed, 1 improved, 6 unchanged``, the gravest first."""
    statuses = [outcome.status for outcome in result.outcomes]
    counts = [f"{statuses.count(status)} {words}" for status, words in WORDS.items() if status in statuses]
    return ", ".join(counts) or "no cases"


def change(outcome: Outcome) -> str:
    """The change of the peak, of reserved bytes where allocated ones are the same; else the status."""
    before, now = outcome.baseline, outcome.current
    if before is None or now is None or outcome.status == "incomparable":
        return WORDS[outcome.status]
    if before.peak != now.peak:
        return change_words(before.peak, now.peak)
    return "0" if before.reserved == now.reserved else f"{change_words(before.reserved, now.reserved)} reserved"


def explanation(outcome: Outcome) -> Iterator[str]:
    """The reasons, what grew and what the case states otherwise, a line each."""
    yield from outcome.reasons
    yield from map(growth_words, outcome.growth)
    yield from [outcome.moved] if outcome.moved else []
    if outcome.inexact:
        yield f"an estimate, and not exact: {'; '.join(outcome.inexact)}"
    if outcome.settings:
        yield f"the case differs from the baseline's: {'; '.join(outcome.settings)}"


def growth_words(growth: Growth) -> str:
    """``module encoder.1 +64.00 MiB, +3.1 % (model.py:31 in forward)``."""
    at, before = growth.source, growth.baseline
    if before is None:
        change = f"{format_bytes(growth.current)}, before less than 0.1 % of the peak"
    else:
        change = change_words(before, growth.current)
    where = f" ({at.file}:{at.line}{f' in {at.function}' if at.function else ''})" if at else ""
    return f"{growth.kind} {growth.name} {change}{where}"


def peak_words(outcome: Outcome) -> tuple[str, str]:
    """Peak allocated and reserved, marked where they are estimates; a dash where nothing was measured."""
    peaks = outcome.current or outcome.baseline
    if peaks is None:
        return "–", "–"
    mark = "~" if outcome.inexact else ""
    return f"{mark}{format_bytes(peaks.peak)}", f"{mark}{format_bytes(peaks.reserved)}"
