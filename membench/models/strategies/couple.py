"""The steps of a reversible network, each of which is taken in place and undone in place."""

from collections.abc import Sequence

from torch import Tensor, nn

from membench.errors import UsageError
from membench.models.blocks import AdditiveCoupling, Block, split
from membench.models.strategies.patches import Patches, can_patch
from membench.models.strategies.replay import Conditions, Gradients, Repeatable, add_gradient
from membench.models.strategies.sliced import SlicedBottleneck, can_slice, slices_within


class Coupled:
    """A function of one half of the channels, added to the other: ``target += function(source)``.

    It is undone by subtracting, since the source is untouched. The function is run in ``slices`` of its hidden
    channels where it can be.
    """

    def __init__(self, function: nn.Module, conditions: Conditions, slices: int) -> None:
        self._function = function
        self._conditions = conditions
        self._slices = slices if can_slice(function) else 1
        whole = function if self._slices == 1 else nn.Sequential(function.project_norm, function.dropout)  # type: ignore[arg-type]
        self._repeatable = Repeatable(whole, conditions)

    def add(self, target: Tensor, source: Tensor) -> None:
        bottleneck = self._bottleneck(source)
        made = self._repeatable.run(bottleneck.forward(source) if bottleneck else source)
        self._conditions.accumulate(target, made)

    def undo(self, target: Tensor, source: Tensor, d_target: Tensor, d_source: Tensor, gradients: Gradients) -> None:
        """Undo `add`, and take the gradients back through it, all in place."""
        bottleneck = self._bottleneck(source)
        again = self._repeatable.again(bottleneck.forward(source) if bottleneck else source)
        self._conditions.accumulate(target, again.take_value(), -1)
        d_inner = again.back(d_target, gradients)
        del again
        if bottleneck is None:
            d_source.add_(d_inner)
            return
        # Rebound, so that under autocast what it is a copy of does not wait.
        d_inner = d_inner.to(bottleneck.dtype)
        for parameter, value in bottleneck.backward(source, d_inner, d_source).items():
            add_gradient(gradients, parameter, value)

    def _bottleneck(self, source: Tensor) -> SlicedBottleneck | None:
        if self._slices == 1:
            return None
        return SlicedBottleneck(self._function, self._slices, self._conditions.compute_dtype(source.dtype))


def couple(blocks: Sequence[Block], conditions: Conditions, slices: int | None, room: float) -> list[Coupled]:
    """The steps of a stage. ``slices`` None cuts so far that a part has at most ``room`` channels, or is one group.

    Raises:
        UsageError: a block is not an additive coupling.
    """
    functions: list[nn.Module] = []
    for block in blocks:
        if not isinstance(block, AdditiveCoupling):
            raise UsageError(f"a reversible strategy needs additive couplings, not {type(block).__name__}")
        functions += (block.f, block.g)
    return [Coupled(f, conditions, slices_within(f, room) if slices is None else slices) for f in functions]


def add_all(steps: Sequence[Coupled], h: Tensor) -> None:
    """Take the steps of a stage on h (N, C, D, H, W) in place, the halves of its channels changing roles."""
    halves = split(h, 2)
    for step, coupled in enumerate(steps):
        coupled.add(halves[step % 2], halves[1 - step % 2])


def undo_all(steps: Sequence[Coupled], h: Tensor, d: Tensor, gradients: Gradients) -> None:
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
