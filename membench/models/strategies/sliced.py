"""A mobile inverted bottleneck, run a slice of its hidden channels at a time.

Inside the bottleneck the expanded channels meet only in the linear projection (MobileNetV2, section 5.1), and group
norm ties together no more than a group. So expand -> norm -> ReLU -> depthwise -> norm -> ReLU -> project runs slice by
slice, on group boundaries, and the projections are summed: the same function up to the order of that sum. Backward,
each slice is computed again, differentiated and freed before the next, by hand: autograd would hold twice as much.

The 1x1x1 convolutions are matrix products, which need no workspace, and neither does the depthwise convolution.
"""

from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu_

from membench.models.functions import MBConv

aten = torch.ops.aten


def can_slice(function: nn.Module) -> bool:
    """Whether the function's hidden channels can be computed apart."""
    return (
        isinstance(function, MBConv)
        and isinstance(function.expand_norm, nn.GroupNorm)
        and isinstance(function.excite, nn.Identity)
    )


def slices_within(function: nn.Module, room: float) -> int:
    """Into how few slices the hidden channels can be cut with at most ``room`` channels, or one group, in each."""
    if not can_slice(function):
        return 1
    norm = cast(nn.GroupNorm, cast(MBConv, function).expand_norm)
    in_slice = max(1, int(room / (norm.num_channels / norm.num_groups)))
    return -(-norm.num_groups // in_slice)


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
        self.parts = self._cut(slices)

    def _cut(self, slices: int) -> list[_Part]:
        f, groups = self.function, self.norm.num_groups
        in_group = f.expand.out_channels // groups
        slices = min(slices, groups)
        bounds = [groups * i // slices for i in range(slices + 1)]
        return [self._part(slice(a * in_group, b * in_group), b - a) for a, b in pairwise(bounds)]

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
        projected = torch.zeros_like(flat, dtype=self.norm.weight.dtype)
        for part in self.parts:
            second = self._convolve(part, self._first(part, flat, x)[0])
            hidden, _ = self._activated(second, part, self.second_norm, part.depthwise_scale, part.depthwise_shift)
            del second
            add_product(projected, part.project, hidden.flatten(2))
            del hidden
        return projected.view_as(x)

    def backward(self, x: Tensor, gradient: Tensor, d_x: Tensor) -> dict[Tensor, Tensor]:
        """Add the gradient of x to ``d_x`` in place; give the parameters' gradients.

        ``gradient`` is that of the projection before its norm. All are (N, C, D, H, W).
        """
        x, gradient = x.to(self.dtype), gradient.to(self.dtype)
        f = self.function
        sliced: list[Tensor] = [
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
        # What leads to the depthwise convolution is not kept but computed again: a product of few channels is cheaper
        # than a slice held all the while.
        second = self._convolve(part, self._first(part, flat, x)[0])
        hidden, second_statistics = self._activated(
            second, part, self.second_norm, part.depthwise_scale, part.depthwise_shift
        )
        d_project = outer(flat_gradient, hidden.flatten(2))
        d_hidden = multiply(part.project.t(), flat_gradient).view_as(hidden)
        _through_relu(d_hidden, hidden)
        del hidden
        # Rebound one at a time: under autocast these are copies, and a copy's original must not wait for the norm.
        d_hidden = d_hidden.to(part.depthwise_scale.dtype)
        second = second.to(part.depthwise_scale.dtype)
        d_second, d_depthwise_scale, d_depthwise_shift = _norm_backward(
            d_hidden, second, part, second_statistics, part.depthwise_scale
        )
        del d_hidden, second
        d_second = d_second.to(self.dtype)
        first, first_statistics = self._first(part, flat, x)
        d_first, d_depthwise = self._convolve_backward(part, d_second, first)
        del d_second
        _through_relu(d_first, first)
        del first
        d_first = d_first.to(part.expand_scale.dtype)
        expanded = self._expand(part, flat, x).to(part.expand_scale.dtype)
        d_expanded, d_expand_scale, d_expand_shift = _norm_backward(
            d_first, expanded, part, first_statistics, part.expand_scale
        )
        del d_first, expanded
        d_expanded = d_expanded.to(self.dtype)
        d_expand = outer(d_expanded.flatten(2), flat)
        add_product(d_x.flatten(2), part.expand.t(), d_expanded.flatten(2))
        return d_expand, d_expand_scale, d_expand_shift, d_depthwise, d_depthwise_scale, d_depthwise_shift, d_project

    def _first(self, part: _Part, flat: Tensor, x: Tensor) -> tuple[Tensor, _Normed]:
        """What the depthwise convolution reads."""
        return self._activated(self._expand(part, flat, x), part, self.norm, part.expand_scale, part.expand_shift)

    @staticmethod
    def _expand(part: _Part, flat: Tensor, x: Tensor) -> Tensor:
        return multiply(part.expand, flat).view(x.shape[0], -1, *x.shape[2:])

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
        values, dtype = x.numel() // (batch * channels), x.dtype
        x = x.to(scale.dtype)
        y, mean, rstd = aten.native_group_norm(x, scale, shift, batch, channels, values, part.groups, norm.eps)
        del x
        return relu_(y).to(dtype), _Normed(mean, rstd)


def _norm_backward(
    gradient: Tensor, x: Tensor, part: _Part, statistics: _Normed, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Group norm's backward pass with its result in the gradient's place: PyTorch's own would hold one slice more.

    With y = scale * (x - mean) * rstd + shift over the M values of a group, the gradient of x is
    ``scale * rstd * dy + a * x + b``, where a = (B * mean - A) * rstd^3 / M and b = -a * mean - B * rstd / M, for the
    group's sums A of ``scale * dy * x`` and B of ``scale * dy`` (Wu & He, Group Normalization, 2018, differentiated).
    """
    batch, channels = x.shape[:2]
    groups, in_group = part.groups, channels // part.groups
    sums_of_products = torch.bmm(gradient.view(batch * channels, 1, -1), x.view(batch * channels, -1, 1))
    products = sums_of_products.view(batch, groups, in_group)
    sums = gradient.sum((2, 3, 4)).view(batch, groups, in_group)
    mean, rstd = statistics.mean.view(batch, groups, 1), statistics.rstd.view(batch, groups, 1)
    scales = scale.view(1, groups, in_group)
    values = in_group * x[0, 0].numel()
    a_sum, b_sum = (scales * products).sum(2, keepdim=True), (scales * sums).sum(2, keepdim=True)
    a = (b_sum * mean - a_sum) * rstd**3 / values
    b = -a * mean - b_sum * rstd / values
    d_scale = ((products - sums * mean) * rstd).sum(0).flatten()
    d_shift = sums.sum(0).flatten()

    def over_channels(factor: Tensor) -> Tensor:
        return factor.expand(batch, groups, in_group).reshape(batch, channels, 1, 1, 1)

    gradient.mul_(over_channels(scales * rstd)).addcmul_(x, over_channels(a)).add_(over_channels(b))
    return gradient, d_scale, d_shift


def _through_relu(gradient: Tensor, output: Tensor) -> None:
    """Take the gradient back through ReLU in place."""
    aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)


def multiply(weight: Tensor, x: Tensor) -> Tensor:
    """(O, I) times (N, I, V)."""
    return torch.bmm(weight.expand(x.shape[0], *weight.shape), x)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """The sum over samples and voxels of (N, O, V) and (N, I, V): (O, I)."""
    return torch.bmm(a, b.transpose(1, 2)).sum(0)


def add_product(target: Tensor, weight: Tensor, x: Tensor) -> None:
    """Add (O, I) times (N, I, V) to ``target`` (N, O, V) in place, without room for the product where types agree."""
    if target.dtype == x.dtype:
        target.baddbmm_(weight.expand(x.shape[0], *weight.shape), x)
    else:
        target.add_(multiply(weight, x))
