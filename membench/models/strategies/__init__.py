"""Memory strategies: which activations of a stage are kept, and which are computed again in the backward pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from membench.errors import UsageError
from membench.models.blocks import Block
from membench.models.strategies.chain import ReversibleSliced
from membench.models.strategies.checkpoint import Checkpoint
from membench.models.strategies.plain import Plain
from membench.models.strategies.reversible import Reversible
from membench.spec import NetworkSpec

if TYPE_CHECKING:
    from membench.models.unet import UNet3d


class Strategy(Protocol):
    """Runs the blocks of a stage. What it computes, gradients included, must not depend on the strategy."""

    def check(self, network: NetworkSpec) -> None:
        """Raise `UsageError` if networks like this one cannot run under the strategy."""

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        """Apply one or more blocks in order to x (N, C, D, H, W), which must stay as it is; give the same shape."""


@runtime_checkable
class NetworkStrategy(Strategy, Protocol):
    """A strategy that can also take a whole network in hand, not only its stages one by one."""

    def run_network(self, network: "UNet3d", x: Tensor) -> Tensor | None:
        """Give the logits of x (N, C, D, H, W); None to have the stages run one by one."""


_REGISTERED: dict[str, Strategy] = {
    "plain": Plain(),
    "checkpoint": Checkpoint(),
    "reversible": Reversible(),
    "reversible-sliced": ReversibleSliced(),
}


def strategies() -> tuple[str, ...]:
    """Names of the known strategies, those registered by the user last."""
    return tuple(_REGISTERED)


def get_strategy(name: str) -> Strategy:
    """Find a strategy by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in _REGISTERED:
        raise UsageError(f"there is no strategy {name!r}; choose from {', '.join(_REGISTERED)}")
    return _REGISTERED[name]


def register(name: str, strategy: Strategy) -> None:
    """Make a strategy known by a name.

    Raises:
        UsageError: the name is taken; results are looked up by it, so it cannot change its meaning.
    """
    if name in _REGISTERED:
        raise UsageError(f"there is already a strategy {name!r}; choose another name")
    _REGISTERED[name] = strategy
