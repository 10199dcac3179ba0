"""A training that takes a moment."""

from pathlib import Path
from typing import Any

from membench.spec import NetworkSpec
from membench.train.data import Prepared, prepare
from membench.train.layouts import find_cases
from membench.train.result import Step, TrainResult
from membench.train.run import Watcher
from membench.train.spec import Loss, TrainSpec

NETWORK = NetworkSpec(base_channels=8, norm_groups=2, stages=2, blocks=1, expansion=2)


def small(**changes: Any) -> TrainSpec:
    # The loss that imports no MONAI where a rank is rehearsed.
    loss: Loss = "dice-bce-slabs"
    defaults = {
        "network": NETWORK,
        "patch": (8, 8, 8),
        "steps": 6,
        "held_out": 0.3,
        "learning_rate": 1e-2,
        "loss": loss,
    }
    return TrainSpec(**{**defaults, **changes})


def prepared(data: Path, folder: Path, spec: TrainSpec | None = None, **options: Any) -> Prepared:
    return prepare(find_cases(data), spec or small(), folder, **options)


def losses(result: TrainResult) -> list[float]:
    return [step.loss for step in result.steps]


class KilledError(Exception):
    """Stands for the end of the process."""


class KilledAfter(Watcher):
    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: Step) -> None:
        if step.step == self.step:
            raise KilledError


class StoppedAfter(Watcher):
    def __init__(self, step: int) -> None:
        self.step = self.now = step

    def stepped(self, step: Step) -> None:
        self.now = step.step

    def stops(self) -> bool:
        return self.now == self.step
