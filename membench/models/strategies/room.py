"""How much memory a step of the whole network may take at each resolution, in channels of it."""

from collections.abc import Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

from membench.models.strategies.slicing import SPARING

# Of what a limit leaves, so much is given away: the estimates are rough, and blocks do not fit together without gaps.
SHARE = 0.5


def rooms(channels: Sequence[int], x: Tensor) -> list[float]:
    """For each level of a network of these channels, run on x (N, C, D, H, W): what a step may take there.

    That is at least what the full resolution needs in any case, in slices; so no other level makes the peak. Where the
    allocator has a limit (`torch.cuda.set_per_process_memory_fraction`), it is what that leaves: slices compute more,
    so that no more levels are run in slices than must be.
    """
    # All in channels of float32 at full resolution.
    levels = [width / 8**level for level, width in enumerate(channels)]
    spare = channels[0] / 2 * (1 + SPARING)
    free = _free_bytes(x.device)
    if free is not None:
        unit = 4 * x.shape[0] * prod(x.shape[2:])
        spare = max(spare, SHARE * free / unit - sum(levels) - levels[0])
    # On the way back every level is there, and the gradients of those from the full resolution down to this one.
    below = accumulate(levels[1:], initial=0.0)
    return [(spare - gradients) * 8**level for level, gradients in enumerate(below)]


def _free_bytes(device: torch.device) -> int | None:
    """What a limit of the allocator leaves; None where there is none."""
    if device.type != "cuda":
        return None
    fraction = torch.cuda.get_per_process_memory_fraction(device)
    if fraction >= 1:
        return None
    limit = int(fraction * torch.cuda.get_device_properties(device).total_memory)
    return limit - torch.cuda.memory_allocated(device)
