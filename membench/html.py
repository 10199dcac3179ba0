"""HTML of results for notebooks: names and values, and tables. All text is escaped; colours are the notebook's own."""

from collections.abc import Iterable, Sequence
from html import escape

_RIGHT, _LEFT = ' style="text-align:right"', ' style="text-align:left"'


def card(title: str, facts: Iterable[tuple[str, str]], *tables: str) -> str:
    """A title over names and values, and tables below; facts without a value are left out."""
    rows = "".join(
        f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{escape(value)}</td></tr>" for name, value in facts if value
    )
    return f"<div><strong>{escape(title)}</strong><table><tbody>{rows}</tbody></table>{''.join(tables)}</div>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column holds names, and all others numbers."""
    head = "".join(f"<th{_aligned(column)}>{escape(heading)}</th>" for column, heading in enumerate(headings))
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td{_aligned(column)}>{escape(text)}</td>" for column, text in enumerate(row))


def _aligned(column: int) -> str:
    return _RIGHT if column else _LEFT
