"""Text of users' own, such as the name of a case, made harmless for what shows it."""

import re
import unicodedata

# Markdown gives each of these a meaning somewhere; a backslash takes it away (CommonMark, "Backslash escapes").
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@/])")


def printable(text: str) -> str:
    """The text on one line, with its control and formatting characters written as escapes: none moves a cursor,
    colours a terminal, reverses the direction of reading or breaks XML."""
    return "".join(char if _shown(char) else char.encode("unicode_escape").decode() for char in text)


def markdown(text: str) -> str:
    """The text as Markdown that reads as itself, in a table's cell too: no markup, HTML, link or mention."""
    harmless = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", harmless)


def _shown(char: str) -> bool:
    # Categories of Unicode: controls, formats, surrogates, private use, unassigned, line and paragraph separators.
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
