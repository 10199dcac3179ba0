"""Write a report's files: each appears whole or not at all, and the same data gives the same bytes."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from membench.errors import MembenchError, UsageError
from membench.report.data import ReportData, report_rows
from membench.report.figures import report_figures
from membench.report.figures.style import render
from membench.report.page import page_html
from membench.report.tables import claims_json, probes_csv, searches_csv

_LINK_TAGS = re.compile(rb"</?a\b[^>]*>")


def write_report(data: ReportData, out: Path) -> tuple[Path, ...]:
    """Write tables, figures and ``index.html`` into the folder ``out``; the files written, in a fixed order.

    Raises:
        UsageError: there is no search to report.
        MembenchError: the folder cannot be made or written to.
    """
    if not data.searches:
        raise UsageError("there is nothing to report: no search has finished")
    rows = report_rows(data)
    figures = report_figures(data, rows)
    drawings = {figure.name: render(figure.figure, "svg") for figure in figures}
    contents = {
        "searches.csv": searches_csv(rows).encode(),
        "probes.csv": probes_csv(rows).encode(),
        "claims.json": claims_json(data).encode(),
    }
    for figure in figures:
        # Marks link to the page's probes; in a file that may end up in a paper the links would lead nowhere.
        contents[f"{figure.name}.svg"] = _LINK_TAGS.sub(b"", drawings[figure.name])
        contents[f"{figure.name}.png"] = render(figure.figure, "png")
    contents["index.html"] = page_html(data, rows, figures, drawings).encode()
    try:
        out.mkdir(parents=True, exist_ok=True)
        return tuple(_write_whole(out / name, content) for name, content in contents.items())
    except OSError as error:
        raise MembenchError(f"cannot write the report to {out}: {error.strerror or error}") from error


def _write_whole(path: Path, content: bytes) -> Path:
    """Replace ``path`` in one step, so that a reader or a crash never meets half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    return path
