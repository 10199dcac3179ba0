"""Each format is read by a real parser, and says the case's name and nothing of the name's own making."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
from made_up import A100, HOSTILE, MIB, made_case, made_config, measured
from markdown_it import MarkdownIt

from membench.check import FORMATS, CheckResult, Growth, Source, baseline_of, compare
from membench.check.text import printable

SHOWN = printable(HOSTILE)
# What the standard (SARIF 2.1.0, OASIS) requires of the objects that are written here.
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {"type": "object", "required": ["driver"]},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "ruleIndex", "level", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "locations": {"type": "array", "items": {"$ref": "#/$defs/location"}, "minItems": 1},
                            },
                        },
                    },
                },
            },
        },
    },
    "$defs": {
        "location": {
            "type": "object",
            "required": ["physicalLocation"],
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {"properties": {"uri": {"type": "string", "pattern": r"^[\w./%-]+$"}}},
                        "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
                    },
                }
            },
        }
    },
}


# The attributes that Jenkins' junit-10.xsd allows, those that it requires in capitals, and the elements inside.
JUNIT = {
    "testsuites": ("name time tests failures errors", "testsuite"),
    "testsuite": (
        "NAME TESTS FAILURES ERRORS group time skipped timestamp hostname id package file",
        "properties testcase",
    ),
    "properties": ("", "property"),
    "property": ("NAME VALUE", ""),
    "testcase": ("NAME time classname group", "skipped error failure system-out system-err"),
    **dict.fromkeys(("failure", "error", "skipped"), ("type message", "")),
    "system-out": ("", ""),
}


@pytest.fixture(scope="module")
def result() -> CheckResult:
    """One case of every kind; the hostile one regressed, and so did a module and a file of that name."""
    cases = [made_case(name) for name in (HOSTILE, "crash", "same", "new", "less", "small", "else")]
    before = baseline_of({case.name: measured(case) for case in [*cases, made_case("gone")] if case.name != "new"})
    found = {case.name: measured(case) for case in cases}
    found[HOSTILE] = measured(cases[0], peak=150 * MIB)
    found["crash"] = measured(cases[1], status="crashed", message=HOSTILE)
    found["less"] = measured(cases[4], peak=50 * MIB)
    found["small"] = measured(cases[5], status="oom")
    found["else"] = measured(cases[6], device=msgspec.structs.replace(A100, name="t4-16gb"))
    compared = compare(made_config(*cases), found, before)
    at = Source(file="net,s:%1.py", line=31, function=HOSTILE)
    growth = (Growth(kind="module", name=HOSTILE, baseline=1, current=MIB, source=at),)
    worst = msgspec.structs.replace(compared.outcomes[0], growth=growth)
    return msgspec.structs.replace(compared, outcomes=(worst, *compared.outcomes[1:]))


def test_the_made_up_result_has_every_kind(result: CheckResult) -> None:
    kinds = {outcome.status for outcome in result.outcomes}
    assert kinds == {"regressed", "failed", "unchanged", "new", "improved", "limit", "incomparable", "vanished"}


def test_json(result: CheckResult) -> None:
    document = json.loads(FORMATS["json"](result))
    assert (document["status"], document["exit_code"]) == ("limit", 1)
    assert document["outcomes"][0]["name"] == HOSTILE
    assert document["outcomes"][0]["current"]["peak"] == 150 * MIB


def test_junit(result: CheckResult) -> None:
    root = ElementTree.fromstring(FORMATS["junit"](result).encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, inside = JUNIT[element.tag]
        assert set(element.attrib) <= set(attributes.lower().split())
        assert {name.lower() for name in attributes.split() if name.isupper()} <= set(element.attrib)
        assert {child.tag for child in element} <= set(inside.split())
    (suite,) = root
    assert [child.tag for child in suite] == ["properties", *["testcase"] * len(result.outcomes)]
    problems = [child.tag for test in suite.iter("testcase") for child in test if child.tag != "system-out"]
    assert sorted(problems) == ["error", "failure", "failure", "skipped", "skipped"]
    assert {name: int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": 8,
        "failures": 2,
        "errors": 1,
        "skipped": 2,
    }
    first = next(suite.iter("testcase"))
    assert first.get("name") == SHOWN
    failure = first.find("failure")
    assert failure is not None
    assert f"module {SHOWN} +1024.00 KiB" in (failure.text or "")


def test_sarif(result: CheckResult) -> None:
    log = json.loads(FORMATS["sarif"](result))
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[found["ruleIndex"]] == found["ruleId"] for found in run["results"])
    assert [found["ruleId"] for found in run["results"]] == [
        "regressed", "failed", "limit", "incomparable", "vanished",
    ]  # fmt: skip
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "net%2Cs%3A%251.py"}, "region": {"startLine": 31}}
    text = run["results"][0]["message"]["text"]
    assert re.sub(r"\\([\\\[\]])", r"\1", text).startswith(f"{SHOWN}: peak allocated")
    assert re.search(r"(?<!\\)\[", text) is None
    assert len({found["partialFingerprints"]["membenchCase/v1"] for found in run["results"]}) == len(run["results"])
    assert run["invocations"] == [{"executionSuccessful": False}]


def test_markdown(result: CheckResult) -> None:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(FORMATS["markdown"](result))
    cells = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 7 * len(result.outcomes)
    assert "".join(child.content for child in cells[1].children or []) == SHOWN
    inner = [child for token in tokens if token.type == "inline" for child in token.children or []]
    kinds = {child.type for child in inner}
    assert kinds <= {"text", "text_special", "softbreak", "strong_open", "strong_close", "html_inline"}
    assert {child.content for child in inner if child.type == "html_inline"} == {"<sub>", "</sub>"}
    # GitHub makes mentions and references to issues of plain text, but not of what is escaped.
    assert r"\@team \#1" in FORMATS["markdown"](result)


def test_github(result: CheckResult) -> None:
    lines = FORMATS["github"](result).splitlines()
    assert len(lines) == len(result.outcomes) - 1
    for line in lines:
        match = re.fullmatch(r"::(error|warning|notice) file=([^,:]*),line=(\d+),title=([^,:]*)::(.*)", line)
        assert match, line
        assert re.search(r"%(?!25|0A|3A|2C)", match[2] + match[4] + match[5]) is None
    properties = lines[0].removeprefix("::error ").split("::")[0]
    assert "file=net%2Cs%3A%251.py,line=31," in properties
    shown = properties.split("title=")[1].replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
    assert shown == f"GPU memory: {SHOWN} regressed"


def test_no_format_carries_a_control_character(result: CheckResult) -> None:
    for name, write in FORMATS.items():
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", write(result)) or name == "json"
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", FORMATS["json"](result))
