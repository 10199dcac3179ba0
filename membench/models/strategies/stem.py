"""The first convolution, a slice of its output channels at a time.

cuDNN computes a 3-D convolution in the contiguous layout on transposed copies of whole activations; by slices the
copies are of a slice.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from membench.models.strategies.replay import Conditions, Gradients, add_gradient

PARTS = 4


class SlicedConvolution:
    """A ``Conv3d`` without groups, (N, C, D, H, W) to (N, O, D, H, W) of the same volume."""

    def __init__(self, module: nn.Module, conditions: Conditions) -> None:
        self._module = cast(nn.Conv3d, module)
        self._dtype = conditions.compute_dtype(self._module.weight.dtype)
        self._padding = cast("tuple[int, ...]", self._module.padding)

    def make(self, x: Tensor) -> Tensor:
        """The output, in the parameters' dtype."""
        weight, bias = self._module.weight.detach(), self._module.bias
        y = weight.new_empty(x.shape[0], weight.shape[0], *x.shape[2:])
        x = x.to(self._dtype)
        for part in self._parts():
            offset = None if bias is None else bias.detach()[part].to(self._dtype)
            y[:, part] = torch.conv3d(x, weight[part].to(self._dtype), offset, padding=self._padding)
        return y

    def back(self, x: Tensor, d_y: Tensor, gradients: Gradients, *, wants_x: bool) -> Tensor | None:
        """The gradient of x, if wanted; adds the parameters' gradients."""
        module, ones = self._module, [1, 1, 1]
        x_dtype, x = x.dtype, x.to(self._dtype)
        d_x = torch.zeros_like(x) if wants_x else None
        d_weight = torch.empty_like(module.weight)
        for part in self._parts():
            d_part, d_weight[part], _ = torch.ops.aten.convolution_backward(
                d_y[:, part].to(self._dtype).contiguous(), x, module.weight.detach()[part].to(self._dtype), None,
                ones, list(self._padding), ones, False, [0, 0, 0], 1, [wants_x, True, False],
            )  # fmt: skip
            if d_x is not None:
                d_x.add_(d_part)
            del d_part
        add_gradient(gradients, module.weight, d_weight)
        if module.bias is not None and module.bias.requires_grad:
            add_gradient(gradients, module.bias, d_y.sum((0, 2, 3, 4), dtype=module.bias.dtype))
        return None if d_x is None else d_x.to(x_dtype)

    def _parts(self) -> list[slice]:
        channels = self._module.out_channels
        bounds = [channels * i // PARTS for i in range(PARTS + 1)]
        return [slice(a, b) for a, b in pairwise(bounds) if b > a]
