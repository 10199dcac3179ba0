"""Products over the voxels of (N, C, ...), as batched matrix products: they need no workspace."""

import torch
from torch import Tensor

# What would otherwise be made whole is made in so many pieces.
PIECES = 4


def multiply(weight: Tensor, x: Tensor) -> Tensor:
    """(O, I) times (N, I, V)."""
    return torch.bmm(weight.expand(x.shape[0], *weight.shape), x)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """The sum over samples and voxels of (N, O, V) and (N, I, V): (O, I)."""
    return torch.bmm(a, b.transpose(1, 2)).sum(0)


def add_product(target: Tensor, weight: Tensor, x: Tensor, pieces: int = PIECES) -> None:
    """Add (O, I) times (N, I, V) to ``target`` (N, O, V) in place, without room for the product where types agree.

    Where they do not, the product is made in ``pieces``.
    """
    if target.dtype == x.dtype:
        target.baddbmm_(weight.expand(x.shape[0], *weight.shape), x)
        return
    for part, rows in zip(target.chunk(pieces, 1), weight.chunk(pieces, 0), strict=True):
        part.add_(multiply(rows, x))
