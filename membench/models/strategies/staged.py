"""A strategy for each stage: memory is spent at full resolution, time everywhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from membench.errors import UsageError
from membench.models.blocks import Block
from membench.spec import NetworkSpec

if TYPE_CHECKING:
    from membench.models.strategies import Strategy


class Staged:
    """``levels`` are the strategies of the stages of each resolution, encoder and decoder alike, the full one first."""

    def __init__(self, levels: Sequence["Strategy"]) -> None:
        self.levels = tuple(levels)

    def check(self, network: NetworkSpec) -> None:
        """Raise `UsageError` unless there is a strategy for each stage, under which the network can run."""
        network.check_strategies(self.levels)
        for strategy in self.levels:
            strategy.check(network)

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        """Stages have strategies of their own; this is none that a stage can have."""
        raise UsageError("a strategy per stage is for a whole network")
