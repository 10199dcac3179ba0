"""The cells of a notebook one after the other, as its kernel would run them: notebook.py CLONE NOTEBOOK

Prints a line of JSON for each code cell that published something: what it printed then, and what it prints here. A cell
that fails ends nothing: later cells that need it fail too.
"""

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

SHELL = ("!", "%")  # lines that are not Python


def main(clone: str, notebook: str) -> None:
    cells = json.loads(Path(clone, notebook).read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            printed = run(without_shell("".join(cell["source"])), names)
            published = "".join("".join(output.get("text", "")) for output in cell["outputs"])
            if published:
                sys.stdout.write(json.dumps({"cell": number, "published": published, "printed": printed}) + "\n")
                sys.stdout.flush()


def without_shell(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(SHELL))


def run(source: str, names: dict[str, Any]) -> str:
    """Run a cell in the notebook's names; gives what it printed, and how it failed if it did."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(source, "cell", "exec"), names)
        except Exception:
            printed.write(traceback.format_exc(limit=-1))
    return printed.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
