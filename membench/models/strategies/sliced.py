"""A mobile inverted bottleneck, run a slice of its hidden channels at a time.

Inside the bottleneck the expanded channels meet only in the linear projection (MobileNetV2, section 5.1), and group
norm ties together no more than a group. So expand -> norm -> ReLU -> depthwise -> norm -> ReLU -> project runs slice by
slice, on group boundaries, and the projections are summed: the same function up to the order of that sum. Backward,
each slice is computed again, differentiated and freed before the next, by hand: autograd would hold twice as much.

The 1x1x1 convolutions are matrix products, which need no workspace, and neither does the depthwise convolution.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu_

from membench.models.functions import MBConv

aten = torch.ops.aten

# Live slices at the peak of `SlicedBottleneck.backward`.
SLICES_IN_FLIGHT = 4


def can_slice(function: nn.Module) -> bool:
    """Whether the function's hidden channels can be computed apart."""
    return (
        isinstance(function, MBConv)
        and isinstance(function.expand_norm, nn.GroupNorm)
        and isinstance(function.excite, nn.Identity)
    )


class _Part(NamedTuple):
    """A slice of the hidden channels: which they are, how many groups, and their parameters (views)."""

    channels: slice
    groups: int
    expand: Tensor
    expand_scale: Tensor
    expand_shift: Tensor
    depthwise: Tensor
    depthwise_scale: Tensor
    depthwise_shift: Tensor
    project: Tensor


class _Normed(NamedTuple):
    """What group norm's backward pass needs besides its input."""

    mean: Tensor
    rstd: Tensor


class SlicedBottleneck:
    """An `MBConv`'s function up to the projection's norm, on (N, C, D, H, W), in ``slices`` parts.

    ``dtype`` is what products and convolutions compute in (autocast's, or the input's). Group norm takes its
    statistics in float32 either way, as PyTorch's does, and its output is rounded to ``dtype`` as the next
    convolution would round it under autocast.
    """

    def __init__(self, function: nn.Module, slices: int, dtype: torch.dtype) -> None:
        self.function = cast(MBConv, function)
        self.dtype = dtype
        self.norm = cast(nn.GroupNorm, self.function.expand_norm)
        self.second_norm = cast(nn.GroupNorm, self.function.depthwise_norm)
        self.tail = nn.Sequential(self.function.project_norm, self.function.dropout)
        self.parts = self._cut(slices)

    def _cut(self, slices: int) -> list[_Part]:
        f, groups = self.function, self.norm.num_groups
        in_group = f.expand.out_channels // groups
        slices = min(slices, groups)
        bounds = [groups * i // slices for i in range(slices + 1)]
        return [self._part(slice(a * in_group, b * in_group), b - a) for a, b in zip(bounds, bounds[1:], strict=False)]

    def _part(self, channels: slice, groups: int) -> _Part:
        f = self.function
        return _Part(
            channels=channels,
            groups=groups,
            expand=f.expand.weight.detach()[channels].flatten(1).to(self.dtype),
            expand_scale=self.norm.weight.detach()[channels],
            expand_shift=self.norm.bias.detach()[channels],
            depthwise=f.depthwise.weight.detach()[channels].to(self.dtype),
            depthwise_scale=self.second_norm.weight.detach()[channels],
            depthwise_shift=self.second_norm.bias.detach()[channels],
            project=f.project.weight.detach()[:, channels].flatten(1).to(self.dtype),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The projection, before its norm: (N, C, D, H, W) to the same shape."""
        x = x.to(self.dtype)
        flat = x.flatten(2)
        projected: Tensor | None = None
        for part in self.parts:
            first, _ = self._activated(
                self._expand(part, flat, x), part, self.norm, part.expand_scale, part.expand_shift
            )
            second = self._convolve(part, first)
            del first
            hidden, _ = self._activated(second, part, self.second_norm, part.depthwise_scale, part.depthwise_shift)
            del second
            share = _multiply(part.project, hidden.flatten(2))
            del hidden
            projected = share if projected is None else projected.add_(share)
            del share
        assert projected is not None
        return projected.view_as(x)

    def backward(self, x: Tensor, gradient: Tensor, d_x: Tensor) -> dict[nn.Parameter, Tensor]:
        """Add the gradient of x to ``d_x`` in place; give the parameters' gradients.

        ``gradient`` is that of the projection before its norm. All are (N, C, D, H, W).
        """
        x, gradient = x.to(self.dtype), gradient.to(self.dtype)
        f = self.function
        sliced: list[nn.Parameter] = [
            f.expand.weight,
            self.norm.weight,
            self.norm.bias,
            f.depthwise.weight,
            self.second_norm.weight,
            self.second_norm.bias,
            f.project.weight,
        ]
        gradients = {parameter: torch.empty_like(parameter) for parameter in sliced}
        for part in self.parts:
            found = self._differentiate(part, x, gradient, d_x)
            for parameter, value in zip(sliced, found, strict=True):
                place = gradients[parameter]
                rows = place[:, part.channels] if parameter is f.project.weight else place[part.channels]
                rows.copy_(value.view_as(rows))
        return gradients

    def _differentiate(self, part: _Part, x: Tensor, gradient: Tensor, d_x: Tensor) -> tuple[Tensor, ...]:
        """One slice: compute it again, then take the gradient back through it, freeing each tensor at its last use."""
        flat, flat_gradient = x.flatten(2), gradient.flatten(2)
        expanded = self._expand(part, flat, x)
        first, first_statistics = self._activated(expanded, part, self.norm, part.expand_scale, part.expand_shift)
        del expanded  # computed again when it is needed: a product is cheaper than a slice held all the while
        second = self._convolve(part, first)
        hidden, second_statistics = self._activated(
            second, part, self.second_norm, part.depthwise_scale, part.depthwise_shift
        )
        d_project = _outer(flat_gradient, hidden.flatten(2))
        d_hidden = _multiply(part.project.t(), flat_gradient).view_as(hidden)
        _through_relu(d_hidden, hidden)
        del hidden
        d_second, d_depthwise_scale, d_depthwise_shift = _norm_backward(
            d_hidden, second, part, second_statistics, part.depthwise_scale
        )
        del d_hidden, second
        d_first, d_depthwise = self._convolve_backward(part, d_second, first)
        del d_second
        _through_relu(d_first, first)
        del first
        d_expanded, d_expand_scale, d_expand_shift = _norm_backward(
            d_first, self._expand(part, flat, x), part, first_statistics, part.expand_scale
        )
        del d_first
        d_expand = _outer(d_expanded.flatten(2), flat)
        _add_product(d_x, part.expand.t(), d_expanded)
        return d_expand, d_expand_scale, d_expand_shift, d_depthwise, d_depthwise_scale, d_depthwise_shift, d_project

    @staticmethod
    def _expand(part: _Part, flat: Tensor, x: Tensor) -> Tensor:
        return _multiply(part.expand, flat).view(x.shape[0], -1, *x.shape[2:])

    def _convolve(self, part: _Part, hidden: Tensor) -> Tensor:
        padding = self.function.depthwise.padding
        return torch.conv3d(hidden, part.depthwise, padding=cast("tuple[int, ...]", padding), groups=hidden.shape[1])

    def _convolve_backward(self, part: _Part, gradient: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        ones, padding = [1, 1, 1], list(cast("tuple[int, ...]", self.function.depthwise.padding))
        d_hidden, d_weight, _ = aten.convolution_backward(
            gradient, hidden, part.depthwise, None, ones, padding, ones, False, [0, 0, 0], hidden.shape[1],
            [True, True, False],
        )  # fmt: skip
        return d_hidden, d_weight

    @staticmethod
    def _activated(x: Tensor, part: _Part, norm: nn.GroupNorm, scale: Tensor, shift: Tensor) -> tuple[Tensor, _Normed]:
        batch, channels = x.shape[:2]
        y, mean, rstd = aten.native_group_norm(
            x.to(scale.dtype), scale, shift, batch, channels, x.numel() // (batch * channels), part.groups, norm.eps
        )
        return relu_(y).to(x.dtype), _Normed(mean, rstd)


def _norm_backward(
    gradient: Tensor, x: Tensor, part: _Part, statistics: _Normed, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    batch, channels = x.shape[:2]
    d_x, d_scale, d_shift = aten.native_group_norm_backward(
        gradient.to(scale.dtype), x.to(scale.dtype), statistics.mean, statistics.rstd, scale,
        batch, channels, x.numel() // (batch * channels), part.groups, [True, True, True],
    )  # fmt: skip
    return d_x.to(x.dtype), d_scale, d_shift


def _through_relu(gradient: Tensor, output: Tensor) -> None:
    """Take the gradient back through ReLU in place."""
    aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)


def _multiply(weight: Tensor, x: Tensor) -> Tensor:
    """(O, I) times (N, I, V)."""
    return torch.bmm(weight.expand(x.shape[0], *weight.shape), x)


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """The sum over samples and voxels of (N, O, V) and (N, I, V): (O, I)."""
    return torch.bmm(a, b.transpose(1, 2)).sum(0)


def _add_product(target: Tensor, weight: Tensor, x: Tensor) -> None:
    """Add (O, I) times x (N, I, ...) to ``target`` (N, O, ...) in place."""
    if target.dtype == x.dtype and target.shape[0] == 1:
        flat = target.view(target.shape[1], -1)
        flat.addmm_(weight, x.view(x.shape[1], -1))
    else:
        target.add_(_multiply(weight, x.flatten(2)).view_as(target))
