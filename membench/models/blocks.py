"""Blocks: how functions are joined to what flows past them.

A stage carries one or two *streams* between its blocks: the whole tensor for residual blocks, its two channel halves
for couplings. Halves are kept apart from block to block, since joining them would make every strategy copy them.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from membench.models.functions import block_function
from membench.spec import NetworkSpec


class Block(nn.Module):
    """Takes ``streams`` tensors, gives as many of the same shapes: ``block(*streams) -> tuple``."""

    streams: ClassVar[int]


class Residual(Block):
    """The ordinary residual block ``x + F(x)`` at full width. It has no inverse."""

    streams = 1

    def __init__(self, f: nn.Module) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x + self.f(x),)


class AdditiveCoupling(Block):
    """``y1 = x1 + F(x2)``, ``y2 = x2 + G(y1)`` (Gomez et al., The Reversible Residual Network, 2017, equation 6).

    F and G map (N, C/2, D, H, W) to the same shape and may be any modules; they need no inverse themselves.
    """

    streams = 2

    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.f = f
        self.g = g

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        y1 = x1 + self.f(x2)
        return y1, x2 + self.g(y1)

    def inverse(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct the inputs from the outputs, up to rounding (and not at all if F or G draw random numbers)."""
        x2 = y2 - self.g(y1)
        return y1 - self.f(x2), x2


def make_block(network: NetworkSpec, channels: int) -> Block:
    """Make one block of the network on ``channels`` channels in all."""
    if network.coupling == "none":
        return Residual(block_function(network, channels))
    return AdditiveCoupling(block_function(network, channels // 2), block_function(network, channels // 2))


def split(x: Tensor, streams: int) -> tuple[Tensor, ...]:
    """Cut (N, C, ...) along the channels into views."""
    return x.chunk(streams, dim=1)


def join(streams: Sequence[Tensor]) -> Tensor:
    """Undo `split`; a single stream is not copied."""
    return streams[0] if len(streams) == 1 else torch.cat(list(streams), dim=1)
