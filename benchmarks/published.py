"""Published peaks of real GPUs beside those of the emulated card: python benchmarks/published.py [--json]

Each publication in published.toml is replayed on the emulated card, in a process of its own. Exit code: 0 every peak
is within its tolerance, 1 one is not, or a replay failed. A workload whose package is not installed is told, and is no
failure; pip install 'membench[bench]' installs them all.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from membench.device import resolve

HERE = Path(__file__).parent
COUNTERS = ("allocated", "reserved")


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The largest error that is accepted, in percent of the published figure."""

    allocated: float
    reserved: float


class Peak(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was published about a workload, in bytes."""

    workload: str
    allocated: int
    reserved: int
    tolerance: Tolerance | None = None


class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Peaks from one source. ``replay`` is the script that takes its steps again, on the emulated ``card``."""

    card: str
    replay: str
    source: str
    tolerance: Tolerance
    peak: tuple[Peak, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One published figure beside the emulated one, in bytes; ``problem`` says why there is none to compare."""

    workload: str
    card: str
    counter: str
    published: int
    emulated: int | None
    tolerance_percent: float
    source: str
    problem: str = ""
    failed: bool

    @property
    def error_percent(self) -> float | None:
        return None if self.emulated is None else 100 * (self.emulated / self.published - 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    as_json = parser.parse_args(arguments).json
    compared = [row for publication in publications() for row in compare(publication, replay(publication))]
    if as_json:
        rows = [msgspec.structs.asdict(row) | {"error_percent": row.error_percent} for row in compared]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        show(compared)
    return 1 if any(row.failed for row in compared) else 0


def publications() -> tuple[Publication, ...]:
    content = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))
    return msgspec.convert(content["publication"], tuple[Publication, ...])


def replay(publication: Publication) -> dict[str, dict[str, Any]]:
    """What the replay told about each workload: ``allocated`` and ``reserved``, ``missing``, or ``failed``."""
    done = subprocess.run(
        [sys.executable, HERE / publication.replay],
        env={**os.environ, "OMP_NUM_THREADS": "1", **resolve(publication.card).environment},
        capture_output=True,
        text=True,
    )
    told = {line.pop("workload"): line for line in map(json.loads, done.stdout.splitlines())}
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        told |= {peak.workload: {"failed": words[0]} for peak in publication.peak if peak.workload not in told}
    return told


def compare(publication: Publication, told: dict[str, dict[str, Any]]) -> Iterator[Comparison]:
    """Two rows for each workload. A figure that is neither told nor explained is a failure."""
    for peak in publication.peak:
        found = told.get(peak.workload, {"failed": "the replay does not have it"})
        tolerance = peak.tolerance or publication.tolerance
        for counter in COUNTERS:
            published, emulated, allowed = (getattr(peak, counter), found.get(counter), getattr(tolerance, counter))
            missing = f"needs {found['missing']}, which is not installed" if "missing" in found else ""
            yield Comparison(
                workload=peak.workload,
                card=publication.card,
                counter=counter,
                published=published,
                emulated=emulated,
                tolerance_percent=allowed,
                source=publication.source,
                problem=missing or found.get("failed", ""),
                failed=not missing and (emulated is None or abs(emulated - published) * 100 > allowed * published),
            )


def show(compared: Sequence[Comparison]) -> None:
    sources = list(dict.fromkeys(row.source for row in compared))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Workload", "Peak"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Published", "Emulated", "Error", "Allowed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Source")
    for row in compared:
        error = row.error_percent
        verdict = row.problem or ("equal" if row.emulated == row.published else f"{error:+.2f} %")
        table.add_row(
            row.workload if row.counter == COUNTERS[0] else "",
            row.counter,
            f"{row.published:,}",
            "" if row.emulated is None else f"{row.emulated:,}",
            verdict,
            f"{row.tolerance_percent:g} %",
            f"[{sources.index(row.source) + 1}], {row.card}",
            style="red" if row.failed else None,
        )
    console = Console(width=200, markup=False, highlight=False)
    console.print(table)
    for number, source in enumerate(sources, 1):
        console.print(f"[{number}] {source}", soft_wrap=True)
    failed, left_out = sum(row.failed for row in compared), sum(row.emulated is None for row in compared)
    console.print(
        f"{len(compared)} figures: {failed} outside their tolerance, {left_out} without an emulated one to compare"
    )


if __name__ == "__main__":
    sys.exit(main())
