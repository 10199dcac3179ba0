"""Strategy `checkpoint`: keep the input of each block (Chen et al., Training Deep Nets with Sublinear Memory, 2016)."""

from collections.abc import Sequence

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from membench.models.blocks import Block, join, split
from membench.models.strategies.randomness import is_random
from membench.spec import NetworkSpec


class Checkpoint:
    """Keep what enters each block; in the backward pass run the block again, once."""

    def check(self, network: NetworkSpec) -> None:
        """Every network can run so."""

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        streams = split(x, blocks[0].streams)
        for block in blocks:
            streams = checkpoint(block, *streams, use_reentrant=False, preserve_rng_state=is_random(block))
        return join(streams)
