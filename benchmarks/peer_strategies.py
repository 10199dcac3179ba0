"""Two published libraries for reversible networks as strategies of membench: a plugin, and an example of one.

Both are given the network's own functions F and G, so that parameters and results are those of every other strategy,
and both are used as their own documentation has it. ``pip install 'membench[bench]'`` brings them, in the newest
versions on PyPI; ``pip install --no-deps memcnn==1.5.2 revlib==1.7.2`` leaves out the image libraries that memcnn asks
for and that its couplings do not use.

- memcnn (van de Leemput et al., MemCNN, 2019): each block is an ``AdditiveCoupling`` in an ``InvertibleModuleWrapper``,
  which frees the block's input and rebuilds it by the inverse. That goes for the stage's input too, whose storage is
  emptied in the forward pass: no other strategy changes what it was given.
- revlib (HomebrewNLP, 2022): the stage is one ``ReversibleSequential`` of F, G, F, G, ... over two streams.
"""

from collections.abc import Sequence
from typing import cast

from memcnn import AdditiveCoupling, InvertibleModuleWrapper
from revlib import ReversibleSequential
from torch import Tensor

from membench.models import blocks as own
from membench.models import get_strategy, register
from membench.spec import NetworkSpec


class _Peer:
    def check(self, network: NetworkSpec) -> None:
        """What membench's own reversible strategy can run."""
        get_strategy("reversible").check(network)


class Memcnn(_Peer):
    """Each block is freed of its input and rebuilds it."""

    def run(self, blocks: Sequence[own.Block], x: Tensor) -> Tensor:
        for block in cast("Sequence[own.AdditiveCoupling]", blocks):
            x = InvertibleModuleWrapper(AdditiveCoupling(block.f, block.g))(x)
        return x


class Revlib(_Peer):
    """The blocks of a stage as a reversible sequence of revlib's."""

    def run(self, blocks: Sequence[own.Block], x: Tensor) -> Tensor:
        functions = [part for block in cast("Sequence[own.AdditiveCoupling]", blocks) for part in (block.f, block.g)]
        return cast(Tensor, ReversibleSequential(*functions)(x))


register("memcnn", Memcnn())
register("revlib", Revlib())
