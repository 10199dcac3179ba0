"""A mobile inverted bottleneck, run a slice of its hidden channels at a time.

Inside the bottleneck the expanded channels meet only in the linear projection (MobileNetV2, section 5.1), and group
norm ties together no more than a group. So expand -> norm -> ReLU -> depthwise -> norm -> ReLU -> project runs slice by
slice, on group boundaries, and the projections are summed: the same function up to the order of that sum. Backward,
each slice is computed again, differentiated and freed before the next, by hand: autograd would hold four times as much.

A slice is held in chunks of a few channels, which change from expanded channels to what the depthwise convolution gives
and on to gradients. All else is of one chunk: a norm needs the moments of its whole group, no more. What is needed
twice is computed twice, or kept where there is room for it. All chunks are alike, so one's memory serves the next.

The 1x1x1 convolutions are matrix products, which need no workspace, and neither does the depthwise convolution.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu_

from membench.models.functions import MBConv
from membench.models.strategies.norms import Moments, Norm, NormBackward, Sums
from membench.models.strategies.products import add_product, multiply, outer

aten = torch.ops.aten


def can_slice(function: nn.Module) -> bool:
    """Whether the function's hidden channels can be computed apart."""
    return (
        isinstance(function, MBConv)
        and isinstance(function.expand_norm, nn.GroupNorm)
        and isinstance(function.excite, nn.Identity)
    )


class _Chunk(NamedTuple):
    """Some of a slice's channels: which they are, in the slice and of all, and their weights (views)."""

    inside: slice
    channels: slice
    expand: Tensor
    depthwise: Tensor
    project: Tensor


class _Part(NamedTuple):
    """A slice of the hidden channels: which they are, how many groups, and its chunks."""

    channels: slice
    groups: int
    chunks: list[_Chunk]


class SlicedBottleneck:
    """An `MBConv`'s function up to the projection's norm, on (N, C, D, H, W), in ``slices`` parts.

    Parts are computed in chunks of at most ``in_chunk`` channels. ``keeps`` has the backward pass keep two more tensors
    of a slice, and compute four products fewer.
    ``dtype`` is what products and convolutions compute in (autocast's, or the input's). Norms are taken in float32
    either way, as PyTorch's are under autocast, and what they give is rounded to ``dtype`` as the next convolution
    would round it.
    """

    def __init__(
        self, function: nn.Module, slices: int, dtype: torch.dtype, *, in_chunk: int, keeps: bool = False
    ) -> None:
        self.function = cast(MBConv, function)
        self.keeps = keeps
        self.dtype = dtype
        self.norm = cast(nn.GroupNorm, self.function.expand_norm)
        self.second_norm = cast(nn.GroupNorm, self.function.depthwise_norm)
        self.parts = self._cut(slices, in_chunk)

    def _cut(self, slices: int, in_chunk: int) -> list[_Part]:
        groups = self.norm.num_groups
        in_group = self.function.expand.out_channels // groups
        slices = min(slices, groups)
        bounds = [groups * i // slices * in_group for i in range(slices + 1)]
        return [
            _Part(
                channels=slice(start, end),
                groups=(end - start) // in_group,
                chunks=[self._chunk(start, a, min(a + in_chunk, end)) for a in range(start, end, in_chunk)],
            )
            for start, end in pairwise(bounds)
        ]

    def _chunk(self, start: int, a: int, b: int) -> _Chunk:
        f, channels = self.function, slice(a, b)
        return _Chunk(
            inside=slice(a - start, b - start),
            channels=channels,
            expand=f.expand.weight.detach()[channels].flatten(1).to(self.dtype),
            depthwise=f.depthwise.weight.detach()[channels].to(self.dtype),
            project=f.project.weight.detach()[:, channels].flatten(1).to(self.dtype),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The projection, before its norm: (N, C, D, H, W) to the same shape, in the parameters' dtype."""
        x = x.to(self.dtype)
        projected = torch.zeros_like(x, dtype=self.norm.weight.dtype, memory_format=torch.contiguous_format)
        for part in self.parts:
            self._project(part, x, projected)
        return projected

    def _project(self, part: _Part, x: Tensor, projected: Tensor) -> None:
        """Add the share of one slice."""
        held, _, norm = self._convolved(part, x)
        for chunk in part.chunks:
            hidden = relu_(norm.apply(held.pop(0), chunk.inside, in_place=True)).to(self.dtype)
            add_product(projected.flatten(2), chunk.project, hidden.flatten(2))

    def backward(self, x: Tensor, gradient: Tensor, d_x: Tensor) -> dict[Tensor, Tensor]:
        """Add the gradient of x to ``d_x`` in place; give the parameters' gradients.

        ``gradient`` is that of the projection before its norm. All are (N, C, D, H, W).
        """
        x, gradient, f = x.to(self.dtype), gradient.to(self.dtype), self.function
        by_channel = (
            *(f.expand.weight, self.norm.weight, self.norm.bias),
            *(f.depthwise.weight, self.second_norm.weight, self.second_norm.bias, f.project.weight),
        )
        found = {parameter: torch.empty_like(parameter) for parameter in by_channel}
        for part in self.parts:
            self._differentiate(part, x, gradient, d_x, found)
        return found

    def _differentiate(
        self, part: _Part, x: Tensor, gradient: Tensor, d_x: Tensor, found: dict[Tensor, Tensor]
    ) -> None:
        """One slice: compute it again, then take the gradient back through it, freeing each tensor at its last use."""
        expanded = [self._expand(chunk, x) for chunk in part.chunks] if self.keeps else []
        held, first, second = self._convolved(part, x, expanded)
        back, d_hiddens = self._through_projection(part, second, held, gradient, found)
        sums = []
        for number, chunk in enumerate(part.chunks):
            if self.keeps:
                d_hidden = d_hiddens.pop(0)
            else:
                d_hidden = self._back_to_second(chunk, second, held[number], gradient)[1]
            held[number] = back.apply(d_hidden, held[number], chunk.inside).to(self.dtype)
            del d_hidden
            read = expanded[number] if expanded else self._expand(chunk, x)
            held[number] = self._back_through_convolution(chunk, first, read, held[number], found)
            read = expanded[number] if expanded else self._expand(chunk, x)
            sums.append(Sums.of(held[number].to(self.norm.weight.dtype), read))
            del read
        back = self._found_at_norm(self.norm, part, first, sums, x, found)
        for chunk in part.chunks:
            read = expanded.pop(0) if expanded else self._expand(chunk, x)
            d_read = back.apply(held.pop(0).to(self.norm.weight.dtype), read, chunk.inside).to(self.dtype).flatten(2)
            found[self.function.expand.weight][chunk.channels] = _kernels(outer(d_read, x.flatten(2)))
            add_product(d_x.flatten(2), chunk.expand.t(), d_read)

    def _through_projection(
        self, part: _Part, norm: Norm, held: list[Tensor], gradient: Tensor, found: dict[Tensor, Tensor]
    ) -> tuple[NormBackward, list[Tensor]]:
        """The way back through the norm before the projection; what goes in there, by chunks, if it is kept."""
        sums, d_hiddens, weight = [], [], self.function.project.weight
        for chunk, convolved in zip(part.chunks, held, strict=True):
            hidden, d_hidden = self._back_to_second(chunk, norm, convolved, gradient)
            found[weight][:, chunk.channels] = _kernels(outer(gradient.flatten(2), hidden.flatten(2)))
            del hidden
            sums.append(Sums.of(d_hidden, convolved))
            if self.keeps:
                d_hiddens.append(d_hidden)
            del d_hidden
        return self._found_at_norm(self.second_norm, part, norm, sums, gradient, found), d_hiddens

    @staticmethod
    def _found_at_norm(
        module: nn.GroupNorm, part: _Part, norm: Norm, sums: list[Sums], like: Tensor, found: dict[Tensor, Tensor]
    ) -> NormBackward:
        """The way back through a norm over as many voxels as ``like`` has, with its parameters' gradients found."""
        back = norm.backward(sums, like[0, 0].numel())
        found[module.weight][part.channels] = back.d_scale
        found[module.bias][part.channels] = back.d_shift
        return back

    def _expand(self, chunk: _Chunk, x: Tensor) -> Tensor:
        return multiply(chunk.expand, x.flatten(2)).view(x.shape[0], -1, *x.shape[2:])

    def _convolved(self, part: _Part, x: Tensor, expanded: Sequence[Tensor] = ()) -> tuple[list[Tensor], Norm, Norm]:
        """What the depthwise convolution gives, by chunks, and the norms before and after it.

        ``expanded``, if given, stays as it is.
        """
        dtype = self.norm.weight.dtype
        held = [*expanded] or [self._expand(chunk, x) for chunk in part.chunks]
        first = self._norm(self.norm, part, [Moments.of(chunk, dtype) for chunk in held])
        moments = []
        for number, chunk in enumerate(part.chunks):
            hidden = relu_(first.apply(held[number], chunk.inside, in_place=not expanded)).to(self.dtype)
            held[number] = self._convolve(chunk, hidden)
            del hidden
            moments.append(Moments.of(held[number], dtype))
        return held, first, self._norm(self.second_norm, part, moments)

    @staticmethod
    def _norm(norm: nn.GroupNorm, part: _Part, moments: list[Moments]) -> Norm:
        scale, shift = norm.weight.detach()[part.channels], norm.bias.detach()[part.channels]
        return Norm(moments, part.groups, scale, shift, norm.eps)

    def _back_to_second(self, chunk: _Chunk, norm: Norm, convolved: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """What the projection read, and the gradient of what the norm before it gave, in the parameters' dtype."""
        hidden = relu_(norm.apply(convolved, chunk.inside))
        d_hidden = multiply(chunk.project.t(), gradient.flatten(2)).view_as(hidden).to(hidden.dtype)
        _through_relu(d_hidden, hidden)
        return hidden.to(self.dtype), d_hidden

    def _back_through_convolution(
        self, chunk: _Chunk, norm: Norm, expanded: Tensor, gradient: Tensor, found: dict[Tensor, Tensor]
    ) -> Tensor:
        """The gradient of what the norm before the depthwise convolution gave."""
        hidden = relu_(norm.apply(expanded, chunk.inside, in_place=not self.keeps)).to(self.dtype)
        weight, ones = self.function.depthwise.weight, [1, 1, 1]
        d_hidden, d_weight, _ = aten.convolution_backward(
            gradient, hidden, chunk.depthwise, None, ones, self._padding(), ones, False, [0, 0, 0], hidden.shape[1],
            [True, True, False],
        )  # fmt: skip
        found[weight][chunk.channels] = d_weight
        _through_relu(d_hidden, hidden)
        return d_hidden  # type: ignore[no-any-return]

    def _convolve(self, chunk: _Chunk, hidden: Tensor) -> Tensor:
        return torch.conv3d(hidden, chunk.depthwise, padding=self._padding(), groups=hidden.shape[1])

    def _padding(self) -> list[int]:
        return list(cast("tuple[int, ...]", self.function.depthwise.padding))


def _through_relu(gradient: Tensor, output: Tensor) -> None:
    """Take the gradient back through ReLU in place."""
    aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)


def _kernels(weight: Tensor) -> Tensor:
    """A matrix as the weight of a 1x1x1 convolution."""
    return weight.view(*weight.shape, 1, 1, 1)
