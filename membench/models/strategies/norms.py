"""Group norm of channels that are not all at hand at once: it needs no more of them than their moments.

Forward it is ``factor * x + offset`` for each sample and channel, backward ``factor * dy + a * x + b``. Statistics and
factors are in the parameters' dtype, as PyTorch's own are; x may be in another.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_VOLUME = (2, 3, 4)


class Moments(NamedTuple):
    """Of each sample and channel, over its voxels: (N, C) each. ``variance`` is the mean square off the mean."""

    mean: Tensor
    variance: Tensor

    @staticmethod
    def of(x: Tensor, dtype: torch.dtype) -> "Moments":
        """The moments of x (N, C, D, H, W), in ``dtype``. Takes room for one more x."""
        mean = x.mean(_VOLUME, keepdim=True, dtype=dtype)
        # Off the mean, since a difference of large sums of squares would lose what matters. By mean(), which adds up in
        # a tree, where vector_norm() goes along the voxels on the CPU: ten times the rounding.
        return Moments(mean.flatten(1), (x - mean).square_().mean(_VOLUME))


class Sums(NamedTuple):
    """What a norm's backward pass needs, (N, C) each: the sums of dy, and of dy * x, over the voxels."""

    gradient: Tensor
    product: Tensor

    @staticmethod
    def of(gradient: Tensor, x: Tensor) -> "Sums":
        """Of (N, C, D, H, W). ``gradient`` is in the parameters' dtype. Takes room for one more of it."""
        return Sums(gradient.sum(_VOLUME), (gradient * x).sum(_VOLUME))


class Norm:
    """A group norm of C channels in ``groups``, for given values: ``scale`` and ``shift`` are (C)."""

    def __init__(self, moments: Sequence[Moments], groups: int, scale: Tensor, shift: Tensor, eps: float) -> None:
        means, variances = (self._grouped(torch.cat(parts, 1), groups) for parts in zip(*moments, strict=True))
        self._mean = means.mean(2, keepdim=True)
        # The variance within the channels of a group, and that between them.
        within, between = variances.mean(2, keepdim=True), (means - self._mean).square().mean(2, keepdim=True)
        self._rstd = (within + between + eps).rsqrt()
        self._groups = groups
        self._scale = scale.view(1, groups, -1)
        self._factor = (self._scale * self._rstd).flatten(1)
        self._offset = shift - (self._scale * self._rstd * self._mean).flatten(1)

    @staticmethod
    def _grouped(x: Tensor, groups: int) -> Tensor:
        return x.view(x.shape[0], groups, -1)

    def apply(self, x: Tensor, channels: slice, *, in_place: bool = False) -> Tensor:
        """The norm of x (N, c, D, H, W), which are those of the ``channels``. In place if asked and dtypes agree."""
        factor = _over_voxels(self._factor[:, channels])
        scaled = x.mul_(factor) if in_place and x.dtype == factor.dtype else x * factor
        return scaled.add_(_over_voxels(self._offset[:, channels]))

    def backward(self, sums: Sequence[Sums], voxels: int) -> "NormBackward":
        """The way back, from sums over all C channels of ``voxels`` each.

        With y = scale * (x - mean) * rstd + shift over the M values of a group, the gradient of x is
        ``scale * rstd * dy + a * x + b``, where a = (B * mean - A) * rstd^3 / M and b = -a * mean - B * rstd / M, for
        the group's sums A of ``scale * dy * x`` and B of ``scale * dy`` (Wu & He, Group Normalization, 2018,
        differentiated).
        """
        gradients, products = (self._grouped(torch.cat(parts, 1), self._groups) for parts in zip(*sums, strict=True))
        values = gradients.shape[2] * voxels
        a_sum = (self._scale * products).sum(2, keepdim=True)
        b_sum = (self._scale * gradients).sum(2, keepdim=True)
        a = (b_sum * self._mean - a_sum) * self._rstd**3 / values
        b = -a * self._mean - b_sum * self._rstd / values
        return NormBackward(
            self._factor,
            a.expand_as(gradients).flatten(1),
            b.expand_as(gradients).flatten(1),
            d_scale=((products - gradients * self._mean) * self._rstd).sum(0).flatten(),
            d_shift=gradients.sum(0).flatten(),
        )


class NormBackward(NamedTuple):
    """The gradient of x is ``factor * dy + a * x + b``, (N, C) each; those of the parameters are (C)."""

    factor: Tensor
    a: Tensor
    b: Tensor
    d_scale: Tensor
    d_shift: Tensor

    def apply(self, gradient: Tensor, x: Tensor, channels: slice) -> Tensor:
        """The gradient of x in the place of ``gradient``; both (N, c, D, H, W), those of the ``channels``."""
        factor, a, b = (_over_voxels(values[:, channels]) for values in (self.factor, self.a, self.b))
        return gradient.mul_(factor).add_(x * a).add_(b)

    def apply_in_place_of_x(self, gradient: Tensor, x: Tensor, channels: slice) -> Tensor:
        """The same in the place of x."""
        factor, a, b = (_over_voxels(values[:, channels]) for values in (self.factor, self.a, self.b))
        return x.mul_(a).add_(gradient * factor).add_(b)


def _over_voxels(values: Tensor) -> Tensor:
    return values.view(*values.shape, 1, 1, 1)
