"""Strategy `plain`: autograd keeps whatever it needs."""

from collections.abc import Sequence

from torch import Tensor

from membench.models.blocks import Block, join, split
from membench.spec import NetworkSpec


class Plain:
    """Keep everything, compute nothing twice."""

    def check(self, network: NetworkSpec) -> None:
        """Every network can run so."""

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        streams = split(x, blocks[0].streams)
        for block in blocks:
            streams = block(*streams)
        return join(streams)
