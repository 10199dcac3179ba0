"""What ``membench train`` shows while it trains, and at its end."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from membench.cli.output import err, note, plain_table
from membench.cli.stopping import Stopping
from membench.train.data import Prepared
from membench.train.layouts import REGIONS, Case, Found
from membench.train.parity import Parity
from membench.train.result import Evaluation, Step, TrainResult
from membench.train.run import Watcher
from membench.train.spec import TrainSpec
from membench.units import format_bytes

SILENCE_SECONDS = 30.0  # the longest without a line, where no bar moves


class Display(Watcher):
    """Progress on standard error: on a terminal bars that move, elsewhere a line now and then. A context manager.

    A training is stopped after its step, and anything else at once.
    """

    def __init__(self, found: Found, speaks: bool, stopping: Stopping) -> None:
        self._stopping = stopping
        stopping.notice = "membench: stopping after this step; once more stops at once\n" if speaks else ""
        self._console = err()
        self._console.quiet = not speaks
        self._found = found
        name, state = TextColumn("{task.description}"), TextColumn("{task.fields[state]}", style="dim")
        columns = (name, BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), state)
        moves = speaks and self._console.is_terminal
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not moves)
        self._cases = self._bars.add_task("cases", total=len(found.cases), state="")
        self._task = TaskID(0)
        self._name, self._steps = "", 0
        self._read, self._said = 0, time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def prepared(self, case: Case) -> None:
        """A case has been read."""
        self._bars.update(self._cases, advance=1, state=case.name)
        self._read += 1
        self._now_and_then(f"{self._read} of {len(self._found.cases)} cases read")

    def ready(self, data: Prepared) -> None:
        """All have."""
        self._bars.update(self._cases, visible=False)
        train, held_out = len(data.training_cases), len(data.held_out_cases)
        self._say(f"{train} cases to train on, {held_out} held out, layout {data.layout.name}")
        for error in data.left_out if not self._console.quiet else ():
            note(f"left out: {error}")

    def started(self, spec: TrainSpec, done: int) -> None:
        self._name, self._steps = spec.strategy, spec.steps
        self._stopping.patient = True
        self._task = self._bars.add_task(spec.strategy, total=spec.steps, completed=done, state="")
        if done:
            self._say(f"{spec.strategy} goes on after step {done}")
        self._said = -math.inf  # the first step tells how long all will take

    def stepped(self, step: Step) -> None:
        self._bars.update(self._task, completed=step.step, state=f"loss {step.loss:.4f}")
        words = f"loss {step.loss:.4f}, {step.seconds:.1f} s a step"
        self._now_and_then(f"{self._name}, step {step.step} of {self._steps}: {words}")

    def stops(self) -> bool:
        return bool(self._stopping.number)

    def evaluating(self, done: int, count: int) -> None:
        self._stopping.patient = False
        self._now_and_then(f"{self._name}, evaluating {done} of {count}")
        self._bars.update(self._task, state=f"evaluating {done} of {count}")

    def evaluated(self, evaluation: Evaluation) -> None:
        self._stopping.patient = True
        words = ", ".join(f"{region} {_number(evaluation.dice(region))}" for region in REGIONS)
        self._say(f"{self._name}, step {evaluation.step}: Dice {words}")

    def _now_and_then(self, line: str) -> None:
        if self._bars.disable and time.monotonic() - self._said >= SILENCE_SECONDS:
            self._say(line)

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(Text(line), soft_wrap=True)


def print_results(console: Console, results: Sequence[TrainResult], parity: Parity | None, folder: Path) -> None:
    """The trainings side by side."""
    summary = plain_table("Strategy", "Last loss", "Mean Dice", "Time", "CPU time", "Peak allocated")
    regions = plain_table("Dice, 95 % Hausdorff in mm", *REGIONS)
    for result in results:
        name, final = result.spec.strategy, result.final
        times = [f"{seconds:.0f} s" for seconds in (result.seconds, result.cpu_seconds)]
        peak = format_bytes(result.peak.allocated_bytes) if result.peak else "–"
        summary.add_row(name, f"{result.steps[-1].loss:.4f}", _number(final.mean_dice), *times, peak)
        scores = (f"{_number(final.dice(region))}, {_number(final.hd95(region), 1)}" for region in REGIONS)
        regions.add_row(name, *scores)
    console.print(summary)
    console.print(regions)
    peak_of = next((result.peak for result in results if result.peak), None)
    if peak_of and peak_of.kind == "emulated":
        words = f"Peak: of the same steps on an emulated {peak_of.device}; this training ran on the CPU."
        console.print(Text(words, style="dim"), soft_wrap=True)
    if parity:
        console.print(_verdict(parity), soft_wrap=True)
    console.print(Text(f"Checkpoints, metrics and predictions are in {folder}"), soft_wrap=True)


def _verdict(parity: Parity) -> Text:
    words = "agree" if parity.agrees else "do not agree"
    dice = "" if parity.dice_difference is None else f", in the mean Dice {parity.dice_difference:.5f}"
    allowed = f"allowed {parity.loss_tolerance:g} and {parity.dice_tolerance:g}"
    return Text.assemble(
        ("✓ " if parity.agrees else "✗ ", "bold green" if parity.agrees else "bold red"),
        f"The strategies {words}: the largest relative difference in the loss to {parity.reference} is "
        f"{parity.largest_relative_loss_difference:.2e}{dice} ({allowed})",
    )


def document(results: Sequence[TrainResult], parity: Parity | None, data: Prepared, folder: Path) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "layout": data.layout.name,
        "cases": [case.name for case in data.training_cases],
        "held_out": [case.name for case in data.held_out_cases],
        "left_out": {error.case: str(error) for error in data.left_out},
        "folder": str(folder),
        "trainings": [_training(result) for result in results],
        "parity": parity,
    }


def _training(result: TrainResult) -> dict[str, Any]:
    final = result.final
    return {
        "strategy": result.spec.strategy,
        "device": result.device,
        "losses": [step.loss for step in result.steps],
        "dice": {region: final.dice(region) for region in REGIONS},
        "hd95_mm": {region: final.hd95(region) for region in REGIONS},
        "mean_dice": final.mean_dice,
        "scores": final.scores,
        "seconds": result.seconds,
        "cpu_seconds": result.cpu_seconds,
        "peak": result.peak,
        "spec": result.spec,
    }


def _number(value: float, places: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{places}f}"
