"""Dice plus cross-entropy on overlapping regions."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from membench.errors import UsageError

_VOLUME = (2, 3, 4)


def segmentation_loss(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Soft Dice loss plus binary cross-entropy, for regions that overlap (BraTS: whole tumour, core, enhancing).

    ``logits`` and ``target`` are (N, regions, D, H, W); each region has its own sigmoid p. ``target`` holds 0 and 1
    in any dtype; ``torch.uint8`` keeps it at a byte for each value until the backward pass. Half-precision logits are
    taken to float32 first. The result is a scalar, the sum of

    - the mean over samples and regions of ``1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``
      (Milletari et al., V-Net, 2016, with plain sums below; ``smooth`` voxels keep an empty region defined), and
    - the mean over all values of ``softplus(z) - z t``, which is binary cross-entropy written in logits z.

    No value is read back to the host, so the loss also runs on a device that computes nothing.

    Raises:
        UsageError: the shapes differ or are not five-dimensional.
    """
    if logits.shape != target.shape or logits.dim() != 5:
        raise UsageError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)} must be alike (N, R, D, H, W)")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    cross_entropy = (softplus(logits).sum() - (logits * target).sum()) / logits.numel()
    probability = logits.sigmoid()
    overlap = (probability * target).sum(_VOLUME)
    # One sum for both: summing a uint8 target by itself would first copy it into 64-bit integers.
    total = (probability + target).sum(_VOLUME)
    dice = 1 - (2 * overlap + smooth) / (total + smooth)
    return dice.mean() + cross_entropy
