"""SARIF 2.1.0 (OASIS), for code scanning: a result at the line of the code that grew, or of the case."""

import hashlib
import re
from typing import Any
from urllib.parse import quote

import msgspec

from membench import __version__
from membench.check.formats.words import explanation
from membench.check.result import WORDS, CheckResult, Outcome, Status
from membench.check.text import printable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RULES: dict[Status, str] = {
    "limit": "A case takes more GPU memory than its limit, its budget or its device has.",
    "regressed": "A case takes more GPU memory than in the baseline.",
    "failed": "The training step of a case failed.",
    "incomparable": "The baseline of a case is from another environment.",
    "vanished": "A case of the baseline is not checked any more.",
}


def sarif_log(result: CheckResult) -> str:
    rules = [
        {"id": name, "name": WORDS[name].title().replace(" ", ""), "shortDescription": {"text": text}}
        for name, text in RULES.items()
    ]
    driver = {"name": "membench", "version": __version__, "semanticVersion": __version__, "rules": rules}
    results = [_result(outcome, result.config) for outcome in result.outcomes if outcome.status in RULES]
    invocation = {"executionSuccessful": "failed" not in {outcome.status for outcome in result.outcomes}}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _result(outcome: Outcome, config: str) -> dict[str, Any]:
    sources = [(growth.source.file, growth.source.line) for growth in outcome.growth if growth.source]
    file, line = sources[0] if sources else (config, outcome.line)
    fingerprint = hashlib.sha256(f"{outcome.status}\0{outcome.name}".encode()).hexdigest()
    return {
        "ruleId": outcome.status,
        "ruleIndex": list(RULES).index(outcome.status),
        "level": "error" if not outcome.passes and outcome.status != "incomparable" else "warning",
        "message": {"text": _message(outcome)},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": quote(file)}, "region": {"startLine": max(1, line)}}}
        ],
        "partialFingerprints": {"membenchCase/v1": fingerprint},
    }


def _message(outcome: Outcome) -> str:
    """Plain text that a viewer shows as it is: brackets would make a link of it (3.11.6, "embedded links")."""
    first, *others = map(printable, explanation(outcome))
    return re.sub(r"([\\\[\]])", r"\\\1", "\n".join((f"{printable(outcome.name)}: {first}", *others)))
