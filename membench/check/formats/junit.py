"""JUnit XML after Jenkins' schema (junit-10.xsd of its xunit plugin), which GitLab reads too: a case is a test, a
regression a failure, a failed probe an error."""

from xml.etree import ElementTree

from membench.check.formats.words import explanation
from membench.check.result import WORDS, CheckResult, Outcome
from membench.check.text import printable


def junit_xml(result: CheckResult) -> str:
    """One test suite. What could not be compared, and what vanished, is a skipped test."""
    elements = {outcome.name: _problem(outcome) for outcome in result.outcomes}
    tags = [element.tag for element in elements.values() if element is not None]
    counts = {
        "tests": str(len(elements)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
    }
    suites = ElementTree.Element("testsuites", {"name": "membench check", **counts})
    about = {"skipped": str(tags.count("skipped")), "file": printable(result.config)}
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "membench check", **counts, **about})
    properties = ElementTree.SubElement(suite, "properties")
    for name, version in result.versions.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": printable(version)})
    for outcome in result.outcomes:
        suite.append(_test(outcome, elements[outcome.name]))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _test(outcome: Outcome, problem: ElementTree.Element | None) -> ElementTree.Element:
    attributes = {"name": printable(outcome.name), "classname": f"membench.{printable(outcome.device)}"}
    test = ElementTree.Element("testcase", attributes)
    if problem is not None:
        test.append(problem)
    peaks = outcome.current
    if peaks is not None:
        said = ElementTree.SubElement(test, "system-out")
        said.text = f"peak_allocated_bytes {peaks.peak}\npeak_reserved_bytes {peaks.reserved}\n"
    return test


def _problem(outcome: Outcome) -> ElementTree.Element | None:
    tag = {"limit": "failure", "regressed": "failure", "failed": "error"}.get(outcome.status)
    if outcome.status in ("incomparable", "vanished"):
        tag = "skipped"
    if tag is None:
        return None
    message = printable("; ".join(outcome.reasons))
    element = ElementTree.Element(tag, {"message": message, "type": WORDS[outcome.status]})
    element.text = "\n".join(map(printable, explanation(outcome)))
    return element
