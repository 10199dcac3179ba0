"""Sums that are undone exactly, to the bit.

A sum of floating-point numbers is rounded, so subtracting does not quite give back what there was. Under autocast the
next function rounds its input to half precision, and what is reconstructed drifts away with depth
(`benchmarks/drift.py`). Multiples of one power of two, on the other hand, add and subtract without any rounding as
long as they fit the mantissa. So under autocast what flows past the blocks, in float32, and all that is added to it, is
rounded to such a grid: 2^-18, far finer than half precision, where sums up to 64 are exact. Larger ones round as they
would without the grid. In full precision there is no room for it: the grid would cost more than the drift.
"""

import torch
from torch import Tensor

EXACT_BELOW = 64.0
# A function's values may be needed by its graph, so they are rounded in copies; in parts, since they are large.
PARTS = 8


def round_to_grid(x: Tensor) -> Tensor:
    """Round x, in float32, to the grid in place."""
    grid = torch.finfo(x.dtype).eps * EXACT_BELOW / 2
    return x.mul_(1 / grid).round_().mul_(grid)


def add_rounded(target: Tensor, value: Tensor, sign: int) -> None:
    """Add to ``target`` (N, C, ...), or subtract from it, ``value`` rounded to the grid; ``value`` stays as it is."""
    for part, piece in zip(target.chunk(PARTS, 1), value.chunk(PARTS, 1), strict=True):
        part.add_(round_to_grid(piece.to(target.dtype, copy=True)), alpha=sign)
