"""Trainings that differ in nothing but the strategy, side by side: saving memory must cost no accuracy."""

import math
from collections.abc import Sequence

import msgspec

from membench.train.result import TrainResult

LOSS_TOLERANCE = 1e-3
DICE_TOLERANCE = 0.005


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How far a strategy is from the reference: relative in the loss, at its worst step; absolute in the mean Dice."""

    strategy: str
    largest_relative_loss_difference: float
    at_step: int
    dice_difference: float | None


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all strategies agree with the first of them, the reference.

    The losses are compared step by step, the Dice after the last one, as the mean over held-out cases and regions;
    None where no case was held out. The two differences are the largest of all strategies.
    """

    reference: str
    loss_tolerance: float
    dice_tolerance: float
    differences: tuple[Difference, ...]
    largest_relative_loss_difference: float
    dice_difference: float | None
    agrees: bool


def compare(
    results: Sequence[TrainResult],
    loss_tolerance: float = LOSS_TOLERANCE,
    dice_tolerance: float = DICE_TOLERANCE,
) -> Parity | None:
    """Compare trainings with the first; None if there is only that."""
    reference, *others = results
    if not others:
        return None
    found = tuple(_difference(reference, other) for other in others)
    loss = max(difference.largest_relative_loss_difference for difference in found)
    dices = [difference.dice_difference for difference in found if difference.dice_difference is not None]
    dice = max(dices) if dices else None
    return Parity(
        reference=reference.spec.strategy,
        loss_tolerance=loss_tolerance,
        dice_tolerance=dice_tolerance,
        differences=found,
        largest_relative_loss_difference=loss,
        dice_difference=dice,
        agrees=loss <= loss_tolerance and (dice is None or dice <= dice_tolerance),
    )


def _difference(reference: TrainResult, other: TrainResult) -> Difference:
    pairs = zip(reference.steps, other.steps, strict=True)
    relative = [_relative(a.loss, b.loss) for a, b in pairs]
    worst = max(range(len(relative)), key=relative.__getitem__)
    scored = reference.final.scores and other.final.scores
    return Difference(
        strategy=other.spec.strategy,
        largest_relative_loss_difference=relative[worst],
        at_step=worst + 1,
        dice_difference=abs(other.final.mean_dice - reference.final.mean_dice) if scored else None,
    )


def _relative(reference: float, value: float) -> float:
    """Infinite where either is not a finite number: such a loss agrees with nothing."""
    if not (math.isfinite(reference) and math.isfinite(value)):
        return math.inf
    return abs(value - reference) / abs(reference) if reference else (0.0 if value == reference else math.inf)
