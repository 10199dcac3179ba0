"""membench's strategies beside published libraries on one network: what they hold, what fits, and what it costs.

    pip install 'membench[bench]'
    python benchmarks/peers.py                                       # an emulated A100 40 GB, 16 GiB
    python benchmarks/peers.py --device t4-16gb --budget 14GiB
    python benchmarks/peers.py --times benchmarks/results/step-time.json  # from `step_time.py --json`, not taken again

The network is the default of `membench.spec.NetworkSpec` (32 base channels, 4 stages of 2 blocks, expansion 6), in
float32, batch 1, Adam; the peers, of `peer_strategies`, run its own functions. The table has

- the peaks of two training steps at 64^3 and 128^3 voxels, with all of the card's memory to be had, and the peak
  allocated at the larger as a multiple of the floor (`membench.floor`);
- the side of the largest cube that trains under the budget, found by `membench.search` (the next one up does not);
- the time of a step on the CPU (median of the rounds, and their extremes) and its floating-point operations, over those
  of `plain` (`step_time`), at 32^3.

Below it stands why a figure is missing, and wherever a peer is ahead of a reversible strategy of membench's. It is
written to ``results/peers-<card>.md`` and ``.csv``.
"""

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from membench.cli.output import err, out
from membench.device import Device, resolve
from membench.floor import floor_bytes
from membench.models.timing import ROUNDS, StepTime, compare
from membench.plugins import VARIABLE, load_plugins
from membench.probe import Prober
from membench.result import Measurement, SearchResult
from membench.search import search
from membench.spec import NetworkSpec, ProbeSpec, SearchSpec
from membench.units import format_bytes, parse_bytes

HERE = Path(__file__).parent
PEERS = ("memcnn", "revlib")
OWN = ("reversible", "reversible-sliced")
STRATEGIES = ("plain", "checkpoint", *PEERS, *OWN)
SIDES = (64, 128)
TIMED_SIDE = 32
NONE = "–"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A row: peaks by side, the search for the largest cube, and the step's time; None where it was not to be had."""

    strategy: str
    peaks: dict[int, Measurement]
    largest: SearchResult
    time: StepTime

    def side(self) -> int | None:
        fit = self.largest.largest_fit
        return fit.measurement.spec.volume[0] if fit and self.largest.certified else None

    def multiple(self) -> float | None:
        """Peak allocated at the larger side over the floor."""
        found = self.peaks[SIDES[-1]]
        return found.peak_allocated_bytes / floor_bytes(found.spec).total if found.fits else None

    def problems(self) -> list[str]:
        """Why figures are missing, if any are."""
        failed = [f"{side}³: {_why(found)}" for side, found in self.peaks.items() if not found.fits]
        if self.largest.failure:
            failed.append(f"search: {_why(self.largest.failure.measurement)}")
        return [*failed, *([f"time: {self.time.error}"] if self.time.error else [])]


def measure(names: Sequence[str], prober: Prober, budget: int, times: Iterable[StepTime]) -> list[Peer]:
    """Take all figures but the times, which come from `step_time.compare`."""
    by_name = {row.strategy: row for row in times}
    missing = StepTime(strategy="", error="not timed")
    rows = []
    for name in names:
        probe = ProbeSpec(strategy=name, device=prober.device.info.name)
        with err().status(f"{name} on {prober.device.info.title} …"):
            peaks = {side: prober(msgspec.structs.replace(probe, volume=(side, side, side))) for side in SIDES}
            limited = msgspec.structs.replace(probe, budget=budget)
            largest = search(SearchSpec(axis="volume", probe=limited), prober)
        rows.append(Peer(strategy=name, peaks=peaks, largest=largest, time=by_name.get(name, missing)))
    return rows


def _why(found: Measurement) -> str:
    return "out of memory" if found.status == "oom" else found.message


def table(rows: Sequence[Peer], budget: int) -> list[list[str]]:
    """Headings and cells, bytes in GiB."""
    headings = ["strategy"]
    headings += [f"{counter} at {side}³ (GiB)" for side in SIDES for counter in ("reserved", "allocated")]
    headings += [f"× floor at {SIDES[-1]}³"]
    headings += [f"largest side at {_short(budget)}", "step time (CPU)", "lowest", "highest", "operations"]
    return [headings, *(_cells(row) for row in rows)]


def _cells(row: Peer) -> list[str]:
    cells = [row.strategy]
    for found in row.peaks.values():
        peaks = (found.peak_reserved_bytes, found.peak_allocated_bytes)
        cells += [f"{count / 2**30:.2f}" if found.fits else NONE for count in peaks]
    multiple = row.multiple()
    cells += [f"{multiple:.1f}" if multiple else NONE, str(row.side() or NONE)]
    ratios = (row.time.ratio, row.time.lowest, row.time.highest, row.time.operations_ratio)
    return cells + [NONE if row.time.error else f"{ratio:.2f}" for ratio in ratios]


def behind(rows: Sequence[Peer]) -> Iterator[str]:
    """Every figure in which a peer is ahead of one of membench's reversible strategies."""
    by_name = {row.strategy: row for row in rows}
    for name, peer in itertools.product(OWN, PEERS):
        if name in by_name and peer in by_name:
            yield from _behind(by_name[name], by_name[peer])


def _behind(own: Peer, other: Peer) -> Iterator[str]:
    for side, theirs in other.peaks.items():
        ours = own.peaks[side]
        if theirs.fits and (not ours.fits or ours.peak_reserved_bytes > theirs.peak_reserved_bytes):
            yield f"{own.strategy} reserves more at {side}³ than {other.strategy}"
    if (own.side() or 0) < (other.side() or 0):
        yield f"{own.strategy} fits a smaller cube than {other.strategy}"
    yield from _slower(own.time, other.time)


def _slower(own: StepTime, other: StepTime) -> Iterator[str]:
    if own.error or other.error:
        return
    if own.ratio > other.ratio:
        rounds = ", within what rounds differ by" if own.lowest <= other.highest else ""
        yield f"{own.strategy} takes more time than {other.strategy}: {own.ratio:.2f} against {other.ratio:.2f}{rounds}"
    if own.operations > other.operations:
        ratios = f"{own.operations_ratio:.2f} against {other.operations_ratio:.2f}"
        yield f"{own.strategy} has more operations than {other.strategy}: {ratios}"


def _short(budget: int) -> str:
    return format_bytes(budget).replace(".00", "")


def markdown(rows: Sequence[Peer], device: Device, budget: int) -> str:
    """The table with what it was made on, and the reasons of its gaps."""
    headings, *cells = table(rows, budget)
    command = f"python benchmarks/peers.py --device {device.info.name} --budget {_short(budget).replace(' ', '')}"
    versions = ", ".join(f"{name} {text}" for name, text in rows[0].peaks[SIDES[0]].versions.items())
    problems = [f"{row.strategy}: {problem}" for row in rows for problem in row.problems()]
    where = [f"- {line}" for line in behind(rows)]
    lines = [
        f"# Peers on {device.info.title}{', emulated' if device.info.kind == 'emulated' else ''}",
        "",
        f"Made by `{command}`, which says what the columns are. {versions}.",
        "",
        "| " + " | ".join(headings) + " |",
        "|---" + "|--:" * (len(headings) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in cells),
        "",
        *(f"- {problem}" for problem in problems),
        *([""] if problems else []),
        f"Where {' and '.join(PEERS)} are ahead of {' and '.join(OWN)}{':' if where else ': nowhere.'}",
        "",
        *where,
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(
    device: Annotated[str, typer.Option(help="A card of the catalog, or cuda.")] = "a100-40gb",
    budget: Annotated[str, typer.Option(help="For the largest side, such as 16GiB.")] = "16GiB",
    strategy: Annotated[list[str] | None, typer.Option(help="Repeat to choose the rows.")] = None,
    times: Annotated[Path | None, typer.Option(help="What step_time.py --json printed.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps of each strategy.")] = ROUNDS,
    results: Annotated[Path, typer.Option(help="Where the files go.")] = HERE / "results",
) -> None:
    """Compare strategies with those of other libraries."""
    _plug_in()
    names, limit, card = strategy or STRATEGIES, parse_bytes(budget), resolve(device)
    card.check_budget(limit)
    timed = _read(times) if times else compare(NetworkSpec(), (TIMED_SIDE,) * 3, names, rounds=rounds)
    with Prober(card) as prober:
        rows = measure(names, prober, limit, timed)
    results.mkdir(parents=True, exist_ok=True)
    text = markdown(rows, card, limit)
    (results / f"peers-{card.info.name}.md").write_text(text, encoding="utf-8")
    with (results / f"peers-{card.info.name}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table(rows, limit))
    out().print(text, markup=False, soft_wrap=True)


def _plug_in() -> None:
    """Make the peers known here and to the probing process."""
    folders = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    plugins = [*filter(None, [os.environ.get(VARIABLE)]), "peer_strategies"]
    os.environ |= {"PYTHONPATH": os.pathsep.join(folders), VARIABLE: ",".join(plugins)}
    load_plugins()


def _read(times: Path) -> list[StepTime]:
    return msgspec.convert(msgspec.json.decode(times.read_bytes())["strategies"], type=list[StepTime])


if __name__ == "__main__":
    typer.run(main)
