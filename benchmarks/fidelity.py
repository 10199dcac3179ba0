"""Published measurements of real GPUs beside the emulated card's: python benchmarks/fidelity.py [--clones FOLDER]

Each publication in fidelity.toml is replayed on the emulated card, in a process of its own. The table has what was
published, the emulated figure and its error; below it stand the medians, over the rows whose PyTorch is the installed
one and over all. A workload whose package or repository is missing is told, and is no failure.

The version of PyTorch moves figures. To match most rows, run this in an environment of its own (5.5 GB)::

    python3 -m venv /tmp/matched && /tmp/matched/bin/pip install 'torch==2.11.0' 'torchvision==0.26.*' transformers \\
        einx jaxtyping einops . && /tmp/matched/bin/python benchmarks/fidelity.py

The published runs of 2.11 used its build for CUDA 12.8, which the emulated device does not speak; the wheel of 2.11.0
on PyPI is built for CUDA 13.0, with the same cuDNN, 9.19.

Exit code: 0; 1 a row is off by more than 5 % and no cause is stated, or a replay failed.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from membench.device import find_card, resolve

HERE = Path(__file__).parent
COUNTERS = ("allocated", "reserved", "context")
NOTABLE_PERCENT = 5.0


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was published about a workload, in bytes. ``pattern`` finds the figure in a text that the replay printed.

    ``cause`` says why the emulated figure is another, where it is off by much.
    """

    workload: str
    allocated: int | None = None
    reserved: int | None = None
    context: int | None = None
    pattern: str = ""
    cause: str = ""


class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures from one source, which are rounded to ``precision`` bytes. ``replay`` takes its steps again on ``card``.

    A publication that needs its own ``repository`` is replayed from a clone of it: ``replay CLONE *arguments``.
    """

    card: str
    source: str
    torch: str
    measured: str
    figures: tuple[Figure, ...]
    replay: str = ""
    repository: str = ""
    arguments: tuple[str, ...] = ()
    precision: int = 1
    note: str = ""

    @property
    def matched(self) -> bool:
        """Whether the installed PyTorch is the one that was published with, whatever CUDA it is built for."""
        return _release(self.torch) == _release(metadata.version("torch"))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One published figure beside the emulated one, in bytes; ``problem`` says why there is none to compare."""

    workload: str
    card: str
    counter: str
    published: int
    emulated: int | None
    precision: int
    matched: bool
    source: str
    cause: str = ""
    problem: str = ""
    missing: bool = False

    @property
    def error_percent(self) -> float | None:
        if self.emulated is None:
            return None
        off = self.emulated - self.published
        return 0.0 if 2 * abs(off) <= self.precision else 100 * off / self.published

    @property
    def failed(self) -> bool:
        error = self.error_percent
        return not self.missing if error is None else abs(error) > NOTABLE_PERCENT and not self.cause


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clones", type=Path, help="folder of repositories, each under the name of its owner")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    asked = parser.parse_args(arguments)
    read = publications()
    compared = [row for publication in read for row in compare(publication, replay(publication, asked.clones))]
    if asked.json:
        rows = [msgspec.structs.asdict(row) | {"error_percent": row.error_percent} for row in compared]
        found = [msgspec.structs.asdict(median) for median in medians(compared)]
        told = {"torch": metadata.version("torch"), "rows": rows, "medians": found}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        show(read, compared)
    return 1 if any(row.failed for row in compared) else 0


def publications() -> tuple[Publication, ...]:
    content = tomllib.loads((HERE / "fidelity.toml").read_text(encoding="utf-8"))
    return msgspec.convert(content["publication"], tuple[Publication, ...])


def replay(publication: Publication, clones: Path | None) -> dict[str, dict[str, Any]]:
    """What the replay told about each workload: its counters, ``missing`` (what it needs), or ``failed``."""
    if not publication.replay:
        context = find_card(publication.card)[1].context_bytes
        return {figure.workload: {"context": context} for figure in publication.figures}
    command: list[str | Path] = [sys.executable, HERE / publication.replay]
    if publication.repository:
        clone = (clones or Path()) / publication.repository.split("/")[0]
        if clones is None or not clone.exists():
            return {figure.workload: {"missing": publication.repository} for figure in publication.figures}
        command.append(clone.resolve())
    done = subprocess.run(
        [*command, *publication.arguments],
        env=resolve(publication.card).child_environment() | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = {line.pop("workload"): line for line in lines if "workload" in line}
    printed = "".join(line["printed"] for line in lines if "printed" in line)
    words = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return {
        figure.workload: told.get(figure.workload)
        or _found(figure, printed)
        or {"failed": words if done.returncode else "the replay does not have it"}
        for figure in publication.figures
    }


def _found(figure: Figure, printed: str) -> dict[str, Any]:
    """The figure in a printed text, which is in millions of bytes."""
    match = re.search(figure.pattern, printed) if figure.pattern else None
    return {"allocated": round(float(match[1]) * 10**6)} if match else {}


def compare(publication: Publication, told: dict[str, dict[str, Any]]) -> Iterator[Comparison]:
    """A row for each counter of each workload. A figure that is neither told nor explained is a failure."""
    for figure in publication.figures:
        found = told[figure.workload]
        missing = f"needs {found['missing']}, which is not here" if "missing" in found else ""
        for counter in COUNTERS:
            published = getattr(figure, counter)
            if published is not None:
                yield Comparison(
                    workload=figure.workload,
                    card=publication.card,
                    counter=counter,
                    published=published,
                    emulated=found.get(counter),
                    precision=publication.precision,
                    matched=publication.matched,
                    source=publication.source,
                    cause=figure.cause,
                    problem=missing or found.get("failed", ""),
                    missing=bool(missing),
                )


class Medians(msgspec.Struct, frozen=True, kw_only=True):
    """The median absolute error of a counter, in percent, and of how many figures."""

    of: str
    counter: str
    percent: float
    figures: int


def medians(compared: Sequence[Comparison]) -> Iterator[Medians]:
    """Over the rows whose version matches, over all, and over each source alone, for a source may have many rows."""
    groups = {"matched versions": [row for row in compared if row.matched], "all rows": list(compared)}
    for row in compared:
        groups.setdefault(row.source, []).append(row)
    for name, rows in groups.items():
        for counter in COUNTERS[:2]:
            told = [row.error_percent for row in rows if row.counter == counter]
            errors = [abs(error) for error in told if error is not None]
            if errors:
                yield Medians(of=name, counter=counter, percent=statistics.median(errors), figures=len(errors))


def _release(version: str) -> str:
    return version.split("+")[0]


def show(read: Sequence[Publication], compared: Sequence[Comparison]) -> None:
    sources = [publication.source for publication in read]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Workload", "Counter"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Published", "Emulated", "Error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Version", "Source"):
        table.add_column(heading, no_wrap=True)
    for row in compared:
        error = row.error_percent
        table.add_row(
            row.workload,
            row.counter,
            f"{row.published:,}",
            "" if row.emulated is None else f"{row.emulated:,}",
            row.problem or ("equal" if error == 0 else f"{error:+.2f} %"),
            "matched" if row.matched else "other",
            f"[{sources.index(row.source) + 1}] {row.card}",
            style="red" if row.failed else None,
        )
    console = Console(width=200, markup=False, highlight=False)
    console.print(table)
    for number, publication in enumerate(read, 1):
        console.print(f"[{number}] {publication.source}; {publication.torch}; {publication.measured}", soft_wrap=True)
        if publication.note:
            console.print(f"    {publication.note}", soft_wrap=True)
    for row in compared:
        if row.cause and abs(row.error_percent or 0) > NOTABLE_PERCENT:
            console.print(f"{row.workload}, {row.counter}: {row.cause}", soft_wrap=True)
    _show_medians(console, sources, compared)
    for repository in dict.fromkeys(publication.repository for publication in read if publication.repository):
        if any(row.missing and repository in row.problem for row in compared):
            owner = repository.split("/")[0]
            console.print(f"missing: git clone https://github.com/{repository} CLONES/{owner}, then --clones CLONES")


def _show_medians(console: Console, sources: Sequence[str], compared: Sequence[Comparison]) -> None:
    console.print(f"Median absolute error, with PyTorch {_release(metadata.version('torch'))}:")
    for found in medians(compared):
        name = f"[{sources.index(found.of) + 1}] alone" if found.of in sources else found.of
        console.print(f"  {name}: {found.counter} {found.percent:.3f} % of {found.figures}")
    largest = max((abs(row.error_percent or 0) for row in compared), default=0)
    console.print(f"Largest: {largest:.2f} %; outside {NOTABLE_PERCENT:g} % without a cause, or failed: ", end="")
    console.print(str(sum(row.failed for row in compared)))


if __name__ == "__main__":
    sys.exit(main())
