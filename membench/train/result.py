"""What came of a training."""

from typing import Literal

import msgspec

from membench.train.layouts import REGIONS
from membench.train.spec import TrainSpec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step, from 1: the loss of its samples, over all ranks, before the weights change."""

    step: int
    loss: float
    learning_rate: float
    seconds: float
    cpu_seconds: float


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How well a region of a case was found.

    ``dice`` is 1 where there is none and none was found. ``hd95`` is the 95th percentile of the distances between the
    surfaces in mm; None where either is missing, so that there is no distance.
    """

    case: str
    region: str
    dice: float
    hd95: float | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of all held-out cases after a step."""

    step: int
    scores: tuple[Score, ...]

    def dice(self, region: str) -> float:
        """The mean over cases; NaN without any."""
        return _mean([score.dice for score in self.scores if score.region == region])

    def hd95(self, region: str) -> float:
        """The mean in mm over the cases that have a distance; NaN without any."""
        return _mean([score.hd95 for score in self.scores if score.region == region and score.hd95 is not None])

    @property
    def mean_dice(self) -> float:
        """The mean over the regions."""
        return _mean([self.dice(region) for region in REGIONS])


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks of the training steps as the allocator counts them, on a device that is real or emulated."""

    status: Literal["fits", "oom", "error"]
    device: str
    kind: Literal["real", "emulated"]
    ranks: int = 1
    allocated_bytes: int = 0
    reserved_bytes: int = 0
    message: str = ""


class TrainResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished training. ``seconds`` and ``cpu_seconds`` are of its steps alone."""

    spec: TrainSpec
    steps: tuple[Step, ...]
    evaluations: tuple[Evaluation, ...]
    peak: Peak | None
    device: str

    @property
    def final(self) -> Evaluation:
        return self.evaluations[-1]

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    @property
    def cpu_seconds(self) -> float:
        return sum(step.cpu_seconds for step in self.steps)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
