"""Histories of the allocator that others recorded on real GPUs, event by event: python benchmarks/recordings.py FOLDER

The recordings are files of public repositories, which are not part of this one. FOLDER is where their clones are; for
one that is missing, the command that gets it is printed. Each step is taken again on the emulated card and compared.
Exit code: 0 every event is the same, or differs for the reason that is given; 1 one differs, or a step failed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from membench.device import Device, ascending, resolve
from membench.errors import MembenchError
from membench.snapshot import addresses_ascend, read_snapshot
from membench.validate.histories import Agreement, compare

STEPS = Path(__file__).with_name("replays")
NO_GPU_NAMED = "the card is not named; its cuBLAS workspace of 8,519,680 bytes is that of one before Hopper"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, and the script that takes its step again: ``script CLONE *arguments OUTPUT`` in ``replays/``.

    ``difference`` says why events differ, where that is known; without it none may.
    """

    owner: str
    repository: str
    file: str
    step: str
    script: str
    arguments: tuple[str, ...] = ()
    card: str
    versions: str
    difference: str = ""

    @property
    def source(self) -> str:
        return f"github.com/{self.owner}/{self.repository}"


def language_model(step: str, length: int, precision: str) -> Recording:
    return Recording(
        owner="Wedsonlin",
        repository="assignment2-systems",
        file=f"results/medium_{length}_{step}_memory_snapshot.pickle",
        step=f"24-layer language model, 4 x {length}, {precision}, {step}",
        script="language_model.py",
        arguments=(str(length), precision, step),
        card="l40s-48gb",
        versions="torch 2.11.0+cu128",
    )


RECORDINGS = (
    *(
        language_model("training", length, precision)
        for length, precision in ((128, "fp32"), (256, "fp32"), (512, "bf16"), (1024, "bf16"))
    ),
    *(
        language_model("inference", length, precision)
        for length, precision in ((128, "fp32"), (256, "fp32"), (512, "bf16"), (1024, "fp32"))
    ),
    Recording(
        owner="silmont2000",
        repository="assignment2-systems",
        file="mem_snapshot.pickle",
        step="attention in elementary operations, 8 x 4096 x 16, fp32, forward and backward",
        script="attention.py",
        card="rtx-3090-24gb",
        versions="torch 2.6.0",
    ),
    Recording(
        owner="Da1sypetals",
        repository="tomi",
        file="snapshots/snapshot.pickle",
        step="two linear layers, 64 x 10, fp32, SGD, 17 steps",
        script="published_script.py",
        arguments=("generate_snapshot/generate_snapshot.py", "snapshots/snapshot.pickle"),
        card="rtx-3090-24gb",
        versions="torch of May 2025 or older",
        difference=(
            "that PyTorch allocated a workspace of cuBLASLt, 1 MiB, for the product of each of the 17 steps, and freed "
            "it; this one shares cuBLAS's. All other events are the same"
        ),
    ),
)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a recording; ``problem`` says why there is no agreement to tell."""

    recording: Recording
    agreement: Agreement | None = None
    problem: str = ""
    missing: bool = False

    @property
    def failed(self) -> bool:
        if self.agreement is None:
            return not self.missing
        return self.agreement.first_difference is not None and not self.recording.difference


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="folder of the clones, each under the name of its owner")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    asked = parser.parse_args(arguments)
    compared = [rerun(recording, asked.folder) for recording in RECORDINGS]
    if asked.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(compared), indent=2).decode() + "\n")
    else:
        show(compared, asked.folder)
    return 1 if any(row.failed for row in compared) else 0


def rerun(recording: Recording, folder: Path) -> Compared:
    clone = (folder / recording.owner).resolve()
    if not (clone / recording.file).exists():
        return Compared(recording=recording, problem="the recording is not there", missing=True)
    with tempfile.TemporaryDirectory() as place:
        output = Path(place, "emulated.pickle")
        try:
            recorded = read_snapshot(clone / recording.file)
            card = resolve(recording.card)
            problem = run(recording, ascending(card) if addresses_ascend(recorded) else card, clone, output)
            if problem:
                return Compared(recording=recording, problem=problem)
            agreement = compare(recorded, read_snapshot(output))
        except MembenchError as error:
            return Compared(recording=recording, problem=str(error))
    return Compared(recording=recording, agreement=agreement)


def run(recording: Recording, card: Device, clone: Path, output: Path) -> str:
    """Take the step on the card and have its history written; says what went wrong, if anything did."""
    done = subprocess.run(
        [sys.executable, STEPS / recording.script, clone, *recording.arguments, output],
        env=card.child_environment() | {"OMP_NUM_THREADS": "1"},
        cwd=output.parent,
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def show(compared: Sequence[Compared], folder: Path) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Step")
    for heading in ("Recorded", "Emulated", "Identical", "Share", "Peak requested", "Error", "Peak reserved", "Error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in compared:
        found, style = row.agreement, "red" if row.failed else None
        if found is None:
            table.add_row(row.recording.step, row.problem, style=style)
            continue
        theirs, ours = found.recorded_peaks, found.emulated_peaks
        table.add_row(
            row.recording.step,
            *(f"{count:,}" for count in (found.recorded_events, found.emulated_events, found.identical)),
            f"{found.share:.2%}",
            *(f"{theirs.requested_bytes:,}", error(ours.requested_bytes, theirs.requested_bytes)),
            *(f"{theirs.reserved_bytes:,}", error(ours.reserved_bytes, theirs.reserved_bytes)),
            style=style,
        )
    console = Console(width=200, markup=False, highlight=False)
    console.print(table)
    for row in compared:
        if row.agreement and row.agreement.first_difference:
            first = row.agreement.first_difference
            console.print(f"{row.recording.step}: event {first.position}: {first.recorded}, emulated {first.emulated}")
            console.print(f"  {first.recorded_line}\n  {row.recording.difference or 'not explained'}", soft_wrap=True)
    told = [row.agreement for row in compared if row.agreement]
    recorded, identical = sum(each.recorded_events for each in told), sum(each.identical for each in told)
    console.print(f"{len(told)} recordings: {identical:,} of {recorded:,} events identical")
    for source, versions, card in dict.fromkeys(
        (row.recording.source, row.recording.versions, row.recording.card) for row in compared
    ):
        console.print(f"{source}, {versions}; emulated as {card}, {NO_GPU_NAMED}", soft_wrap=True)
    for owner, source in dict.fromkeys((row.recording.owner, row.recording.source) for row in compared if row.missing):
        console.print(f"missing: git clone https://{source} {folder / owner}", soft_wrap=True)


def error(ours: int, theirs: int) -> str:
    return "equal" if ours == theirs else f"{100 * (ours / theirs - 1):+.2f} %"


if __name__ == "__main__":
    sys.exit(main())
