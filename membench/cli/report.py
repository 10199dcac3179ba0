"""``membench report``: the files of a sweep again, from its results."""

from pathlib import Path
from typing import Annotated

import typer

from membench.cli.options import Json
from membench.cli.output import out, print_json
from membench.errors import named_file
from membench.sweep import load

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of a sweep.")]


def report(folder: Folder, json: Json = False) -> int:
    """Rebuild a sweep's files from its stored results.

    This needs no device, and changes no result.

    Exit code: 0 done, 1 nothing can be written to the folder, 2 bad usage, or there is no sweep in it.
    """
    from membench.cli.summary import document, print_summary
    from membench.report import write_report

    with named_file():
        result = load(folder)
    files = write_report(result, folder)
    if json:
        print_json(document(result, files))
    else:
        print_summary(out(), result, files)
    return 0
