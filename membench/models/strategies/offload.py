"""Strategy `offload`: what `plain` keeps is kept in the host's memory, and copied back for the backward pass."""

from collections.abc import Sequence

from torch import Tensor
from torch.autograd.graph import save_on_cpu

from membench.models.blocks import Block
from membench.models.strategies.plain import Plain


class Offload(Plain):
    """Keep everything on the host, in pinned memory where the network runs on a GPU; compute nothing twice.

    All that autograd saves in a stage goes, also a tensor that two operations save, which then goes twice, and
    parameters. A change of a saved tensor in place is not noticed: the copy is as it was.
    """

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        with save_on_cpu(pin_memory=x.is_cuda):
            return super().run(blocks, x)
