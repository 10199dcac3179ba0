"""Workflow commands of GitHub Actions: annotations at the line of the code that grew, else of the case."""

from membench.check.formats.words import explanation
from membench.check.result import WORDS, CheckResult, Outcome
from membench.check.text import printable

LEVELS = {"limit": "error", "regressed": "error", "failed": "error", "incomparable": "warning", "vanished": "warning"}


def github_commands(result: CheckResult) -> str:
    """A line for each case that is not as it was; what is shown of an unchanged one is nothing."""
    told = [outcome for outcome in result.outcomes if outcome.status != "unchanged"]
    return "".join(_command(outcome, result.config) + "\n" for outcome in told)


def _command(outcome: Outcome, config: str) -> str:
    at = next((growth.source for growth in outcome.growth if growth.source), None)
    file, line = (at.file, at.line) if at else (config, outcome.line)
    title = f"GPU memory: {outcome.name} {WORDS[outcome.status]}"
    properties = {"file": file, "line": str(line), "title": title}
    written = ",".join(f"{name}={_property(printable(value))}" for name, value in properties.items())
    message = "\n".join(map(printable, explanation(outcome))) or WORDS[outcome.status]
    return f"::{LEVELS.get(outcome.status, 'notice')} {written}::{_data(message)}"


def _data(text: str) -> str:
    """As the runner reads a message: percent, carriage return and line feed are escaped."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As the runner reads a property: colon and comma too."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
