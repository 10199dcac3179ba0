"""What runs on the emulated device, with its peaks: python benchmarks/coverage.py [NAME …] [--json | --markdown]

Every workload in workloads/ is run on the card, each in a process of its own. One that calls what the device does not
model must end with that call's name. Exit code: 0 every workload runs or is refused as it says, 1 one is not.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from rich.console import Console
from rich.table import Table
from workloads import Workload, workloads

from membench.device import DEFAULT_CARD, resolve
from membench.errors import MembenchError

HERE = Path(__file__).parent
# Figures of kernels that decide the size of grids and of small scratch space, asked for in nearly every step.
EVERYWHERE = {
    "cudaFuncGetAttributes",
    "cuFuncGetAttribute",
    "cudaOccupancyMaxActiveBlocksPerMultiprocessor",
    "cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags",
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one workload; peaks in bytes.

    ``refused`` are the calls that the device does not model, ``modelled`` those that a formula answered, ``reads`` the
    values that the workload read from the device, which are zeros.
    """

    name: str
    title: str
    allocated: int = 0
    reserved: int = 0
    reads: int = 0
    refused: tuple[str, ...] = ()
    modelled: tuple[str, ...] = ()
    note: str | None = None
    missing: str = ""
    failed: str = ""
    refuses: str = ""

    @property
    def verdict(self) -> str:
        """``runs``, ``refused``, ``missing`` (a package), or ``failed``: neither of what it may be."""
        if self.missing:
            return "missing"
        if self.refuses:
            return "refused" if any(call.startswith(self.refuses) for call in self.refused) else "failed"
        return "failed" if self.failed or self.refused else "runs"

    @property
    def remarks(self) -> str:
        if self.verdict == "failed":
            calls = f"calls {', '.join(self.refused)}" if self.refused else f"does not call {self.refuses}…"
            return self.failed or calls
        if self.verdict != "runs":
            return self.refused[0] if self.verdict == "refused" else f"needs {self.missing}"
        modelled = ", ".join(name for name in self.modelled if name not in EVERYWHERE)
        told = [self.note or "", f"{self.reads} values read as zero" if self.reads and not self.note else ""]
        return "; ".join(filter(None, [*told, f"modelled: {modelled}" if modelled else ""]))


class Runner:
    """Runs workloads on a card, one at a time; a context manager."""

    def __init__(self, card: str = DEFAULT_CARD) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "workloads.server"],
            cwd=HERE,
            env=resolve(card).child_environment() | {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.communicate()

    def __call__(self, workload: Workload) -> Row:
        assert self._server.stdin, "started with pipes"
        assert self._server.stdout, "started with pipes"
        self._server.stdin.write(workload.name + "\n")
        self._server.stdin.flush()
        told: dict[str, Any] = json.loads(self._server.stdout.readline() or '{"failed": "the server died"}')
        return msgspec.convert(told | workload._asdict(), Row)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a workload or the beginning of one's name")
    parser.add_argument("--device", default=DEFAULT_CARD, help=f"a card of the catalog (default {DEFAULT_CARD})")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    form.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    chosen = parser.parse_args(arguments)
    wanted = [w for w in workloads() if not chosen.names or w.name.startswith(tuple(chosen.names))]
    if not wanted:
        parser.error(
            f"no workload is called {', '.join(chosen.names)}; known are {', '.join(w.name for w in workloads())}"
        )
    try:
        runner = Runner(chosen.device)
    except MembenchError as error:
        parser.error(str(error))
    with runner as run:
        rows = [run(workload) for workload in wanted]
    if chosen.json:
        found = [msgspec.to_builtins(row) | {"verdict": row.verdict} for row in rows]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif chosen.markdown:
        sys.stdout.write("\n".join(markdown(rows, chosen.device)) + "\n")
    else:
        show(rows)
    return 1 if any(row.verdict == "failed" for row in rows) else 0


def peaks(row: Row) -> tuple[str, str]:
    return (f"{row.allocated:,}", f"{row.reserved:,}") if row.verdict == "runs" else ("", "")


def summary(rows: Sequence[Row]) -> str:
    words = {"runs": "run", "refused": "are refused by name", "failed": "fail", "missing": "need a package"}
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {words[verdict]}" for verdict in words if counts[verdict])


def markdown(rows: Sequence[Row], device: str) -> Iterator[str]:
    yield f"# What runs on the emulated device ({device})"
    yield ""
    yield f"`python benchmarks/coverage.py --markdown`: of {len(rows)} workloads {summary(rows)}. Peaks in bytes."
    yield ""
    yield "| workload | | allocated | reserved | remarks |"
    yield "|---|---|--:|--:|---|"
    for row in rows:
        yield f"| {row.title} | {row.verdict} | {' | '.join(peaks(row))} | {row.remarks} |"


def show(rows: Sequence[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Workload", no_wrap=True)
    table.add_column("")
    for heading in ("Allocated", "Reserved"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Remarks")
    styles = {"failed": "red", "missing": "yellow", "refused": "dim"}
    for row in rows:
        table.add_row(row.title, row.verdict, *peaks(row), row.remarks, style=styles.get(row.verdict))
    console = Console(width=170, markup=False, highlight=False)
    console.print(table)
    console.print(summary(rows))


if __name__ == "__main__":
    sys.exit(main())
