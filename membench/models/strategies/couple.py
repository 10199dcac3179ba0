"""The steps of a reversible network, each of which is taken in place and undone in place."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from membench.errors import UsageError
from membench.models.blocks import AdditiveCoupling, Block, split
from membench.models.strategies.patches import Patches, can_patch
from membench.models.strategies.replay import Conditions, Gradients, Repeatable
from membench.models.strategies.slicing import SlicedStep, slicing


class Step(Protocol):
    """``target += function(source)``. It is undone by subtracting, since the source is untouched."""

    def add(self, target: Tensor, source: Tensor) -> None: ...

    def undo(self, target: Tensor, source: Tensor, d_target: Tensor, d_source: Tensor, gradients: Gradients) -> None:
        """Undo `add`, and take the gradients back through it, all in place."""


class WholeStep:
    """A step whose function is run whole, and differentiated by autograd."""

    def __init__(self, function: nn.Module, conditions: Conditions) -> None:
        self._conditions = conditions
        self._repeatable = Repeatable(function, conditions)

    def add(self, target: Tensor, source: Tensor) -> None:
        self._conditions.accumulate(target, self._repeatable.run(source))

    def undo(self, target: Tensor, source: Tensor, d_target: Tensor, d_source: Tensor, gradients: Gradients) -> None:
        again = self._repeatable.again(source)
        self._conditions.accumulate(target, again.take_value(), -1)
        d_source.add_(again.back(d_target, gradients))


def couple(blocks: Sequence[Block], conditions: Conditions, slices: int | None, room: float) -> list[Step]:
    """The steps of a stage. ``slices`` None cuts so far that a step takes little more than ``room`` channels.

    Raises:
        UsageError: a block is not an additive coupling.
    """
    functions: list[nn.Module] = []
    for block in blocks:
        if not isinstance(block, AdditiveCoupling):
            raise UsageError(f"a reversible strategy needs additive couplings, not {type(block).__name__}")
        functions += (block.f, block.g)
    ways = [(function, slicing(function, room, slices)) for function in functions]
    return [WholeStep(f, conditions) if how.slices == 1 else SlicedStep(f, conditions, how) for f, how in ways]


def add_all(steps: Sequence[Step], h: Tensor) -> None:
    """Take the steps of a stage on h (N, C, D, H, W) in place, the halves of its channels changing roles."""
    halves = split(h, 2)
    for number, step in enumerate(steps):
        step.add(halves[number % 2], halves[1 - number % 2])


def undo_all(steps: Sequence[Step], h: Tensor, d: Tensor, gradients: Gradients) -> None:
    """Undo `add_all` on h, and take its gradient d back, both in place."""
    halves, d_halves = split(h, 2), split(d, 2)
    for step in reversed(range(len(steps))):
        target, source = step % 2, 1 - step % 2
        steps[step].undo(halves[target], halves[source], d_halves[target], d_halves[source], gradients)


class Descent:
    """A module that makes one tensor of another, which stays: ``made = module(source)``."""

    def __init__(self, module: nn.Module, conditions: Conditions) -> None:
        self._repeatable = Repeatable(module, conditions)
        self._patches = Patches(module, conditions) if can_patch(module) else None

    def make(self, source: Tensor) -> Tensor:
        return self._patches.gather(source) if self._patches else self._repeatable.run(source)

    def back(self, source: Tensor, d_source: Tensor, d_made: Tensor, gradients: Gradients) -> None:
        """Add the gradient of the source to ``d_source`` in place."""
        if self._patches:
            self._patches.gather_back(source, d_made, d_source, gradients)
        else:
            d_source.add_(self._repeatable.again(source).back(d_made, gradients))


class Ascent:
    """A module of one tensor that is added to another: ``target += module(source)``."""

    def __init__(self, module: nn.Module, conditions: Conditions) -> None:
        self._conditions = conditions
        self._repeatable = Repeatable(module, conditions)
        self._patches = Patches(module, conditions) if can_patch(module) else None

    def add(self, target: Tensor, source: Tensor) -> None:
        if self._patches:
            self._patches.scatter(target, source)
        else:
            self._conditions.accumulate(target, self._repeatable.run(source))

    def undo(self, target: Tensor, source: Tensor, d_target: Tensor, gradients: Gradients) -> Tensor:
        """Undo `add`; the gradient of the source."""
        if self._patches:
            self._patches.scatter(target, source, -1)
            return self._patches.scatter_back(source, d_target, gradients)
        again = self._repeatable.again(source)
        self._conditions.accumulate(target, again.take_value(), -1)
        return again.back(d_target, gradients)
