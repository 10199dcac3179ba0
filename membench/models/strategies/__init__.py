"""Memory strategies: which activations of a stage are kept, and which are computed again in the backward pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from membench.errors import UsageError
from membench.models.blocks import Block
from membench.models.strategies.chain import ReversibleSliced
from membench.models.strategies.checkpoint import Checkpoint
from membench.models.strategies.offload import Offload
from membench.models.strategies.plain import Plain
from membench.models.strategies.reversible import Reversible
from membench.models.strategies.selective import Selective
from membench.models.strategies.staged import Staged
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


@runtime_checkable
class InSlices(Strategy, Protocol):
    """A strategy that can run functions in a given number of slices of their hidden channels."""

    def with_slices(self, slices: int) -> Strategy:
        """The same strategy, with so many slices."""


_REGISTERED: dict[str, Strategy] = {
    "plain": Plain(),
    "checkpoint": Checkpoint(),
    "selective": Selective(),
    "offload": Offload(),
    "reversible": Reversible(),
    "reversible-sliced": ReversibleSliced(),
}


def strategies() -> tuple[str, ...]:
    """Names of the known strategies, those registered by the user last."""
    return tuple(_REGISTERED)


def get_strategy(name: str, *, slices: int | None = None) -> Strategy:
    """Find a strategy by its name, or make one of a name for each stage: ``plain:reversible:reversible``.

    ``slices`` goes to those that run in slices; None has them choose.

    Raises:
        UsageError: there is none of this name, or nothing here that ``slices`` could be for.
    """
    names = name.split(":")
    for each in names:
        if each not in _REGISTERED:
            raise UsageError(f"there is no strategy {each!r}; choose from {', '.join(_REGISTERED)}")
    found = {each: _REGISTERED[each] for each in names}
    if slices is not None:
        in_slices = {each: known.with_slices(slices) for each, known in found.items() if isinstance(known, InSlices)}
        if not in_slices:
            raise UsageError(f"strategy {name!r} does not run in slices; leave slices out, or choose reversible-sliced")
        found |= in_slices
    return found[name] if len(names) == 1 else Staged([found[each] for each in names])


def register(name: str, strategy: Strategy) -> None:
    """Make a strategy known by a name.

    Raises:
        UsageError: the name is taken (results are looked up by it, so it cannot change its meaning), or has a colon.
    """
    if ":" in name:
        raise UsageError(f"{name!r} cannot be a strategy's name: a colon stands between the strategies of stages")
    if name in _REGISTERED:
        raise UsageError(f"there is already a strategy {name!r}; choose another name")
    _REGISTERED[name] = strategy
