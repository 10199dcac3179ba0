"""A check's result for other programs and pages; each format is a function from the result to a text."""

from collections.abc import Callable
from typing import Literal

from membench.check.formats.document import json_text
from membench.check.formats.github import github_commands
from membench.check.formats.junit import junit_xml
from membench.check.formats.markdown import markdown_page
from membench.check.formats.sarif import sarif_log
from membench.check.result import CheckResult

__all__ = ["FORMATS", "Format", "markdown_page"]

Format = Literal["markdown", "json", "junit", "github", "sarif"]
FORMATS: dict[Format, Callable[[CheckResult], str]] = {
    "markdown": markdown_page,
    "json": json_text,
    "junit": junit_xml,
    "github": github_commands,
    "sarif": sarif_log,
}
