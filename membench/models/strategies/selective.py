"""Strategy `selective`: checkpointing that keeps what is dear to compute again."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from membench.models.blocks import Block, join, split
from membench.models.functions import ConvPair, MBConv
from membench.models.strategies.randomness import is_random
from membench.spec import NetworkSpec


class Selective:
    """Keep what enters each block and what its spatial convolutions give; run the rest of the block again, once.

    Of a bottleneck the depthwise convolution takes the most time to run again, at a quarter of what `plain` keeps;
    1x1x1 convolutions, norms and activations are cheap beside it. A graph can be gone back through once, not more.
    """

    def check(self, network: NetworkSpec) -> None:
        """Every network can run so."""

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        streams = split(x, blocks[0].streams)
        for block in blocks:
            contexts = partial(
                create_selective_checkpoint_contexts, _policy, allow_cache_entry_mutation=_ends_in_place(block)
            )
            streams = checkpoint(
                block, *streams, use_reentrant=False, preserve_rng_state=is_random(block), context_fn=contexts
            )
        return join(streams)


def _policy(_context: Any, operation: Any, *arguments: Any, **_: Any) -> CheckpointPolicy:
    if operation is torch.ops.aten.convolution.default and any(side > 1 for side in arguments[1].shape[2:]):
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE


def _ends_in_place(block: Block) -> bool:
    """Whether what is kept may be changed in place: only by a ReLU, which gives the same when it is done twice.

    Without a norm in between, the ReLU of membench's own functions is done on a convolution's output itself.
    """
    return all(isinstance(function, MBConv | ConvPair) for function in block.children())
