"""Dice plus cross-entropy on overlapping regions."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from membench.errors import UsageError

_VOLUME = (2, 3, 4)
# The volume is gone through in so many slabs, so that what is made on the way is of one.
_SLABS = 8


def segmentation_loss(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Soft Dice loss plus binary cross-entropy, for regions that overlap (BraTS: whole tumour, core, enhancing).

    ``logits`` and ``target`` are (N, regions, D, H, W); each region has its own sigmoid p. ``target`` holds 0 and 1
    in any dtype; ``torch.uint8`` keeps it at a byte for each value until the backward pass. Half-precision logits are
    taken to float32 first. The result is a scalar, the sum of

    - the mean over samples and regions of ``1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``
      (Milletari et al., V-Net, 2016, with plain sums below; ``smooth`` voxels keep an empty region defined), and
    - the mean over all values of ``softplus(z) - z t``, which is binary cross-entropy written in logits z.

    Between forward and backward pass nothing is kept but the logits and the target. No value is read back to the host,
    so the loss also runs on a device that computes nothing. It has no second derivative.

    Raises:
        UsageError: the shapes differ or are not five-dimensional.
    """
    if logits.shape != target.shape or logits.dim() != 5:
        raise UsageError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)} must be alike (N, R, D, H, W)")
    return _SegmentationLoss.apply(logits, target, smooth)  # type: ignore[no-any-return]


class _SegmentationLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, smooth: float) -> Tensor:
        cross_entropy, overlap, total = _sums(logits, target)
        ctx.save_for_backward(logits, target, overlap, total)
        ctx.smooth = smooth
        dice = 1 - (2 * overlap + smooth) / (total + smooth)
        return dice.mean() + cross_entropy / logits.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, target, overlap, total = ctx.saved_tensors
        # The derivatives of the Dice loss by p, where t is 0, and how much less they are where t is 1.
        below = total + ctx.smooth
        outside = ((2 * overlap + ctx.smooth) / below.square() / overlap.numel()).view(*overlap.shape, 1, 1, 1)
        inside = (2 / below / overlap.numel()).view(*overlap.shape, 1, 1, 1)
        d_logits = torch.empty_like(logits)
        for part, z, t in _slabs(logits, target):
            p = z.sigmoid()
            by_p = outside - inside * t
            by_p.mul_(p).mul_(1 - p)
            d_logits[:, :, part] = by_p.add_(p.add_(t, alpha=-1), alpha=1 / logits.numel()).mul_(gradient)
        return d_logits, None, None


def _sums(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of cross-entropy over all values; of p t, and of p and t, over the voxels of each sample and region."""
    cross_entropy, overlap, total = (torch.zeros((), device=logits.device) for _ in range(3))
    for _, z, t in _slabs(logits, target):
        cross_entropy = cross_entropy + softplus(z).sum() - (z * t).sum()
        p = z.sigmoid()
        overlap = overlap + (p * t).sum(_VOLUME)
        # One sum for both: summing a uint8 target by itself would first copy it into 64-bit integers.
        total = total + p.add_(t).sum(_VOLUME)
    return cross_entropy, overlap, total


def _slabs(logits: Tensor, target: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Slabs of the volume, with their logits, at least in float32, and their target."""
    depth = logits.shape[2]
    step = -(-depth // _SLABS)
    for start in range(0, depth, step):
        part = slice(start, min(start + step, depth))
        z = logits[:, :, part]
        yield part, z.float() if z.dtype in (torch.float16, torch.bfloat16) else z, target[:, :, part]
