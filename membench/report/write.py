"""Write a report's files: each appears whole or not at all, and the same result gives the same bytes."""

import itertools
import re
from pathlib import Path

from membench.errors import MembenchError, UsageError
from membench.report.data import report_rows
from membench.report.tradeoff import prices
from membench.store import write_whole
from membench.sweep import SweepResult, claims

_LINK_TAGS = re.compile(rb"</?a\b[^>]*>")


def write_report(result: SweepResult, out: Path) -> tuple[Path, ...]:
    """Write tables, figures and ``index.html`` into the folder ``out``; the files written, in a fixed order.

    Raises:
        UsageError: there is no measurement to report.
        MembenchError: the folder cannot be made or written to.
    """
    if not any(search.probes for search in result.all_searches):
        raise UsageError("there is nothing to report: no probe has finished")
    contents = _contents(result)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MembenchError(f"cannot write the report to {out}: {(error.strerror or str(error)).lower()}") from error
    for name, content in contents.items():
        write_whole(out / name, content)
    return tuple(out / name for name in contents)


def _contents(result: SweepResult) -> dict[str, bytes]:
    # pandas and matplotlib take a second to import, which a command that only prints a summary does not have.
    from membench.report.figures import report_figures
    from membench.report.figures.style import render
    from membench.report.page import page_html
    from membench.report.tables import claims_json, probes_csv, searches_csv, tradeoff_csv

    rows, verdicts, tradeoffs = report_rows(result), claims(result), prices(result)
    figures = report_figures(rows, verdicts, tradeoffs)
    drawings = {figure.name: render(figure.figure, "svg") for figure in figures}
    contents = {
        "searches.csv": searches_csv(rows).encode(),
        "probes.csv": probes_csv(rows, list(itertools.chain(*tradeoffs))).encode(),
        "claims.json": claims_json(verdicts).encode(),
    }
    if tradeoffs:
        contents["tradeoff.csv"] = tradeoff_csv(list(itertools.chain(*tradeoffs))).encode()
    for figure in figures:
        # Marks link to the page's probes; in a file that may end up in a paper the links would lead nowhere.
        contents[f"{figure.name}.svg"] = _LINK_TAGS.sub(b"", drawings[figure.name])
        contents[f"{figure.name}.png"] = render(figure.figure, "png")
    return contents | {"index.html": page_html(result, rows, verdicts, figures, drawings).encode()}
