"""The files of one training: its checkpoint, its metrics as CSV and TensorBoard files, and its result."""

import csv
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import torch
from torch.utils.tensorboard.writer import SummaryWriter

from membench.errors import MembenchError, UsageError
from membench.train.files import writing
from membench.train.layouts import REGIONS
from membench.train.result import Evaluation, Step, TrainResult

CHECKPOINT, RESULT, STEPS, SCORES = "checkpoint.pt", "result.json", "steps.csv", "scores.csv"


class History(msgspec.Struct, kw_only=True):
    """What happened so far. The checkpoint holds it, so that the files after it can be written anew."""

    steps: list[Step] = []
    evaluations: list[Evaluation] = []


class Records:
    """The folder of a training, known by a key; a context manager while it runs. One that does not write only reads.

    Raises:
        UsageError: the folder is another training's.
        MembenchError: a file of it cannot be read or written.
    """

    def __init__(self, folder: Path, key: str, *, writes: bool = True) -> None:
        self.folder, self.key, self.writes = folder, key, writes
        self.history = History()
        self._board: SummaryWriter | None = None

    def result(self) -> TrainResult | None:
        """What came of it, if it has ended."""
        path = self.folder / RESULT
        if not path.exists():
            return None
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (msgspec.DecodeError, OSError) as error:
            raise MembenchError(f"{path} cannot be read: {error}") from None
        self._check(kept.key)
        return kept.result

    def checkpoint(self) -> dict[str, Any] | None:
        """The state to go on from, if there is one; the history is then that of its step."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            self._check(kept["key"])
            self.history = msgspec.json.decode(kept["history"], type=History)
            state: dict[str, Any] = kept["state"]
        except UsageError:
            raise
        except Exception as error:
            raise MembenchError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
        return state

    def __enter__(self) -> Self:
        if not self.writes:
            return self
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_rows(self.folder / STEPS, Step.__struct_fields__, map(_step_row, self.history.steps))
            rows = (row for evaluation in self.history.evaluations for row in _score_rows(evaluation))
            _write_rows(self.folder / SCORES, ("step", "case", "region", "dice", "hd95_mm"), rows)
            self._board = SummaryWriter(self.folder / "tensorboard", purge_step=len(self.history.steps) + 1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._board:
            self._board.close()

    def add_step(self, step: Step) -> None:
        self.history.steps.append(step)
        if not self.writes:
            return
        with writing(self.folder):
            _append_rows(self.folder / STEPS, [_step_row(step)])
            self._plot("loss", step.loss, step.step)
            self._plot("learning rate", step.learning_rate, step.step)

    def add_evaluation(self, evaluation: Evaluation) -> None:
        self.history.evaluations.append(evaluation)
        if not self.writes:
            return
        with writing(self.folder):
            _append_rows(self.folder / SCORES, _score_rows(evaluation))
            for region in REGIONS:
                self._plot(f"dice/{region}", evaluation.dice(region), evaluation.step)
                self._plot(f"hd95 mm/{region}", evaluation.hd95(region), evaluation.step)

    def save(self, state: dict[str, Any]) -> None:
        """Put a checkpoint in the place of the last one, at once or not at all."""
        if not self.writes:
            return
        kept = {"key": self.key, "history": msgspec.json.encode(self.history).decode(), "state": state}
        with writing(self.folder):
            path = self.folder / f"{CHECKPOINT}.new"
            with path.open("wb") as file:
                torch.save(kept, file)
                file.flush()
                os.fsync(file.fileno())
            path.replace(self.folder / CHECKPOINT)

    def finish(self, result: TrainResult) -> None:
        """Write what came of it, at once or not at all."""
        if not self.writes:
            return
        with writing(self.folder):
            path = self.folder / f"{RESULT}.new"
            path.write_bytes(msgspec.json.encode(_Kept(key=self.key, result=result)))
            path.replace(self.folder / RESULT)

    def _plot(self, name: str, value: float, step: int) -> None:
        if self._board and not math.isnan(value):
            self._board.add_scalar(name, value, step)

    def _check(self, key: str) -> None:
        if key != self.key:
            raise UsageError(f"{self.folder} holds a training with other settings or data; choose another --out")


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    result: TrainResult


def _step_row(step: Step) -> Sequence[Any]:
    return msgspec.structs.astuple(step)


def _score_rows(evaluation: Evaluation) -> list[Sequence[Any]]:
    return [(evaluation.step, score.case, score.region, score.dice, score.hd95) for score in evaluation.scores]


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    path.unlink(missing_ok=True)
    _append_rows(path, [header, *rows])


def _append_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
