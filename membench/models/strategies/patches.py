"""Convolutions whose kernel is as large as their stride, as matrix products on strided views of the volume.

Such a convolution reads every voxel once: it is a sum over the k^3 places in a patch of a product with that place's
weight. So it needs no workspace and never more room than one place's share, 1 / k^3 of the fine volume, where cuDNN in
the contiguous layout asks for transposed copies of whole activations.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn

from membench.models.strategies.products import add_product, multiply, outer
from membench.models.strategies.replay import Conditions, Gradients, add_gradient

Place = tuple[int, int, int]
# What is made at one time is at most this part of the fine volume.
PART = 8


class Patches:
    """A ``Conv3d`` or ``ConvTranspose3d`` with kernel equal to stride and no padding, between two volumes.

    ``fine`` is (N, F, kD, kH, kW) and ``coarse`` (N, C, D, H, W). Products compute in autocast's dtype where it is on.
    """

    def __init__(self, module: nn.Module, conditions: Conditions) -> None:
        self._module = cast("nn.Conv3d | nn.ConvTranspose3d", module)
        self._conditions = conditions
        self._dtype = conditions.compute_dtype(self._module.weight.dtype)
        self._kernel = self._module.kernel_size[0]

    def gather(self, fine: Tensor) -> Tensor:
        """The convolution: fine to coarse."""
        total = self._to_coarse(fine)
        return total if self._module.bias is None else total.add_(_per_channel(self._module.bias.detach(), total))

    def gather_back(self, fine: Tensor, d_coarse: Tensor, d_fine: Tensor, gradients: Gradients) -> None:
        """Add to ``d_fine`` in place what ``gather`` makes of ``d_coarse``; likewise the parameters' gradients."""
        self._add_to_fine(d_fine, d_coarse, lambda share: share)
        self._parameter_gradients(fine, d_coarse, d_coarse, gradients)

    def scatter(self, fine: Tensor, coarse: Tensor, sign: int = 1) -> None:
        """The transposed convolution: add it, or with ``sign`` -1 subtract it, in place."""
        self._add_to_fine(fine, coarse, self._conditions.settle, sign)
        if self._module.bias is not None:
            offset = self._module.bias.detach().to(fine.dtype, copy=True)
            fine.add_(_per_channel(self._conditions.settle(offset), fine), alpha=sign)

    def scatter_back(self, coarse: Tensor, d_fine: Tensor, gradients: Gradients) -> Tensor:
        """The gradient of coarse; adds the parameters' gradients."""
        self._parameter_gradients(d_fine, coarse, d_fine, gradients)
        return self._to_coarse(d_fine)

    def _shares(self) -> Iterator[tuple[Place, slice, Tensor]]:
        """Each place in the patch, some of the fine volume's channels, and their weight (C, F)."""
        weight = self._module.weight.detach().to(self._dtype)
        channels, in_share = weight.shape[1], max(1, weight.shape[1] * self._kernel**3 // PART)
        for i, j, k in product(range(self._kernel), repeat=3):
            for start in range(0, channels, in_share):
                rows = slice(start, min(start + in_share, channels))
                yield (i, j, k), rows, weight[:, rows, i, j, k]

    def _share(self, fine: Tensor, place: Place, channels: slice) -> Tensor:
        (i, j, k), step = place, self._kernel
        return fine[:, channels, i::step, j::step, k::step]

    def _flat_share(self, fine: Tensor, place: Place, channels: slice) -> Tensor:
        return self._share(fine, place, channels).to(self._dtype).flatten(2)

    def _to_coarse(self, fine: Tensor) -> Tensor:
        coarse_sides = [side // self._kernel for side in fine.shape[2:]]
        total = self._module.weight.new_zeros(fine.shape[0], self._module.weight.shape[0], *coarse_sides)
        flat = total.flatten(2)
        for place, channels, weight in self._shares():
            add_product(flat, weight, self._flat_share(fine, place, channels), PART)
        return total

    def _add_to_fine(self, fine: Tensor, coarse: Tensor, settle: Callable[[Tensor], Tensor], sign: int = 1) -> None:
        flat = coarse.to(self._dtype).flatten(2)
        for place, channels, weight in self._shares():
            share = self._share(fine, place, channels)
            made = multiply(weight.t(), flat).to(fine.dtype).view(share.shape)
            share.add_(settle(made), alpha=sign)

    def _parameter_gradients(self, fine: Tensor, coarse: Tensor, output: Tensor, gradients: Gradients) -> None:
        module = self._module
        if module.weight.requires_grad:
            flat = coarse.to(self._dtype).flatten(2)
            d_weight = torch.empty_like(module.weight)
            for (i, j, k), channels, _ in self._shares():
                d_weight[:, channels, i, j, k] = outer(flat, self._flat_share(fine, (i, j, k), channels))
            add_gradient(gradients, module.weight, d_weight)
        if module.bias is not None and module.bias.requires_grad:
            add_gradient(gradients, module.bias, output.sum((0, 2, 3, 4), dtype=module.bias.dtype))


def can_patch(module: nn.Module) -> bool:
    """Whether the module is a convolution of this kind."""
    return (
        isinstance(module, nn.Conv3d | nn.ConvTranspose3d)
        and tuple(module.kernel_size) == tuple(module.stride)
        and len(set(module.kernel_size)) == 1
        and not any(cast("tuple[int, ...]", module.padding))
        and module.groups == 1
    )


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1, 1)
