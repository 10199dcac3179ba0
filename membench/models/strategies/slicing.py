"""A bottleneck in slices as a step that is undone; how many slices there are to be."""

from collections.abc import Iterator
from typing import NamedTuple, cast

from torch import Tensor, nn

from membench.models.functions import MBConv
from membench.models.strategies.norms import Moments, Norm, Sums
from membench.models.strategies.products import PIECES
from membench.models.strategies.replay import Conditions, Gradients, Repeatable, add_gradient
from membench.models.strategies.sliced import SlicedBottleneck, can_slice

# Into how many chunks a slice is cut, unless they come to less than what a GPU needs longer for than to start on it.
CHUNKS = 4
LEAST_BYTES = 16 * 2**20
# Tensors of its hidden channels that autograd holds when a function is run whole. In slices they are of a slice only,
# with as many chunks and the projection beside them.
WHOLE = 7
KEEPING = 3 + 2 / CHUNKS
SPARING = 1 + 2 / CHUNKS


class Slicing(NamedTuple):
    """Into how many slices a function is cut (1: it is run whole), and whether slices keep what is needed twice."""

    slices: int
    keeps: bool = False


class SlicedStep:
    """``target += function(source)`` for a function that `can_slice`, and the way back.

    The projection is normalised, added and differentiated in its place, a few channels at a time.
    """

    def __init__(self, function: nn.Module, conditions: Conditions, how: Slicing) -> None:
        self._function = cast(MBConv, function)
        self._norm = cast(nn.GroupNorm, self._function.project_norm)
        self._dropout = Repeatable(self._function.dropout, conditions)
        self._conditions = conditions
        self._how = how

    def add(self, target: Tensor, source: Tensor) -> None:
        projected = self._bottleneck(source).forward(source)
        norm = self._normalised(projected)
        for piece in _pieces(projected):
            norm.apply(projected[:, piece], piece, in_place=True)
        self._conditions.accumulate(target, self._dropout.run(projected))

    def undo(self, target: Tensor, source: Tensor, d_target: Tensor, d_source: Tensor, gradients: Gradients) -> None:
        """Undo `add`, and take the gradients back through it, all in place."""
        bottleneck = self._bottleneck(source)
        projected = bottleneck.forward(source)
        norm = self._normalised(projected)
        if self._dropout.is_random:
            again = self._dropout.again(norm.apply(projected, slice(None)))
            self._conditions.accumulate(target, again.take_value(), -1)
            d_target = again.back(d_target, gradients)
            del again
        else:
            for piece in _pieces(projected):
                self._conditions.accumulate(target[:, piece], norm.apply(projected[:, piece], piece), -1)
        sums = [Sums.of(d_target[:, piece], projected[:, piece]) for piece in _pieces(projected)]
        back = norm.backward(sums, projected[0, 0].numel())
        add_gradient(gradients, self._norm.weight, back.d_scale)
        add_gradient(gradients, self._norm.bias, back.d_shift)
        for piece in _pieces(projected):
            back.apply_in_place_of_x(d_target[:, piece], projected[:, piece], piece)
        # Rebound, so that under autocast what it is a copy of does not wait.
        projected = projected.to(bottleneck.dtype)
        for parameter, value in bottleneck.backward(source, projected, d_source).items():
            add_gradient(gradients, parameter, value)

    def _bottleneck(self, source: Tensor) -> SlicedBottleneck:
        dtype = self._conditions.compute_dtype(source.dtype)
        hidden, slices = self._function.expand.out_channels, self._how.slices
        least = LEAST_BYTES // (source[:, 0].numel() * dtype.itemsize)
        in_chunk = max(1, least, -(-hidden // (slices * CHUNKS)))
        return SlicedBottleneck(self._function, slices, dtype, in_chunk=in_chunk, keeps=self._how.keeps)

    def _normalised(self, x: Tensor) -> Norm:
        norm, dtype = self._norm, self._norm.weight.dtype
        moments = [Moments.of(x[:, piece], dtype) for piece in _pieces(x)]
        return Norm(moments, norm.num_groups, norm.weight.detach(), norm.bias.detach(), norm.eps)


def slicing(function: nn.Module, room: float, slices: int | None = None) -> Slicing:
    """How to run a function so that a pass back through it takes no more than ``room`` channels, or little more.

    Of the ways that do, the one that computes least. A function is cut no further than into groups. With ``slices``
    only the rest is to be chosen.
    """
    if not can_slice(function) or slices == 1:
        return Slicing(1)
    bottleneck = cast(MBConv, function)
    norm, projection = cast(nn.GroupNorm, bottleneck.expand_norm), bottleneck.project.out_channels
    if slices is None and norm.num_channels * WHOLE <= room:
        return Slicing(1)
    groups, in_group = norm.num_groups, norm.num_channels / norm.num_groups

    def groups_at_once(held: float) -> int:
        return int((room - projection) / (held * in_group))

    keeps = groups_at_once(KEEPING) >= (1 if slices is None else -(-groups // slices))
    if slices is None:
        slices = max(2, -(-groups // max(1, groups_at_once(KEEPING if keeps else SPARING))))
    return Slicing(min(slices, groups), keeps)


def _pieces(x: Tensor) -> Iterator[slice]:
    """The channels of x (N, C, ...), a few at a time."""
    channels = x.shape[1]
    in_piece = -(-channels // PIECES)
    for start in range(0, channels, in_piece):
        yield slice(start, min(start + in_piece, channels))
