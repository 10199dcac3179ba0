"""The result as one JSON document."""

from typing import Any

import msgspec

from membench.check.result import CheckResult


def document(result: CheckResult) -> dict[str, Any]:
    """The record itself, with the verdict and the exit code that it comes to."""
    return {"status": result.status, "exit_code": result.exit_code, **msgspec.to_builtins(result)}


def json_text(result: CheckResult) -> str:
    return msgspec.json.format(msgspec.json.encode(document(result)), indent=2).decode() + "\n"
