"""Which strategy to train with: the mix with the least recomputation that fits, and what the cheaper ones miss by."""

from collections.abc import Callable, Sequence

import msgspec

from membench.device import Device
from membench.errors import UsageError
from membench.result import DeviceInfo, Measurement
from membench.search import Choice, Mix, Tried, cheapest, mixes
from membench.spec import ModelSpec, NetworkSpec, ProbeSpec

# Strategies that stages of one network can mix, each keeping no more than the one before it.
LADDER = ("plain", "selective", "checkpoint", "reversible")
# Those that keep less still: for the full resolution, where memory is spent, or for a whole network.
THRIFTIEST = ("reversible-sliced",)


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy that was measured. ``recomputation`` is what its step computes over what that of ``plain`` does.

    ``misses_by_bytes`` is by how much its peak reserved memory exceeds the budget, where ``unlimited``, the same probe
    on the same card with its memory limit lifted, could tell.
    """

    strategy: str
    recomputation: float
    measurement: Measurement
    unlimited: Measurement | None = None
    misses_by_bytes: int | None = None


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """``recommended`` fits; None when nothing does. No strategy that recomputes less fits, by this certificate:

    each keeps as much as one of ``cheaper``, or more, and those are out of memory; the nearest in cost come first.
    Where nothing fits, ``cheaper`` has the thriftiest. ``candidates`` are all that were measured, in the order asked.
    """

    device: DeviceInfo
    budget_bytes: int
    recommended: Option | None
    cheaper: tuple[Option, ...]
    candidates: tuple[Option, ...]
    failure: Option | None = None

    @property
    def subject(self) -> Option:
        """What came of it: the failure that ended it, what fits, or, where nothing does, what came nearest."""
        return self.failure or self.recommended or self.cheaper[0]


def find_cheapest(
    probe: ProbeSpec,
    device: Device,
    found: Sequence[Mix],
    measure: Callable[[ProbeSpec], Measurement],
    known: Sequence[Option] = (),
) -> Recommendation:
    """Find by measuring which of ``found``, mixes in order of cost, to train with; the probe's own is not looked at.

    What is ``known`` of them is not measured again.
    """
    measured = {option.strategy: option.measurement for option in known}
    choice = cheapest(found, lambda mix: measure(_under(probe, mix.strategy)), measured)
    return _recommendation(choice, device, probe.budget or device.usable_bytes)


def network_mixes(
    network: NetworkSpec | ModelSpec, strategies: Sequence[str] = (), *, slices: int | None = None
) -> tuple[Mix, ...]:
    """The mixes of ``strategies`` under which the network can run, with their costs, the cheapest first.

    Each strategy keeps no more than the one before it; none named are all that can be mixed. Imports PyTorch.

    Raises:
        UsageError: there is none, or a strategy is not known.
    """
    network.validate()
    if isinstance(network, ModelSpec):
        return _model_mixes(network, strategies)
    from membench.models import get_strategy
    from membench.models.cost import recomputation

    runnable, refusal = [], None
    for name in dict.fromkeys(strategies or (*LADDER, *THRIFTIEST)):
        strategy = get_strategy(name)
        try:
            strategy.check(network)
        except UsageError as error:
            refusal = error
        else:
            runnable.append(name)
    if not runnable:
        raise refusal or UsageError("name at least one strategy")
    ladder = [name for name in runnable if name not in THRIFTIEST]
    thriftiest = [name for name in runnable if name in THRIFTIEST]

    def cost(strategy: str) -> float:
        return recomputation(network, strategy, slices=_slices(slices, strategy))

    return mixes(network.stages, ladder, thriftiest, cost)


def _model_mixes(network: ModelSpec, strategies: Sequence[str]) -> tuple[Mix, ...]:
    """A model of the user's is run as it is: nothing is computed again, but what it keeps may lie on the host."""
    names = tuple(dict.fromkeys(strategies or network.strategies))
    for name in names:
        network.check_strategies([name])
    return tuple(Mix(strategy=name, cost=1.0, thrift=(rung,)) for rung, name in enumerate(names))


def _under(probe: ProbeSpec, strategy: str) -> ProbeSpec:
    return msgspec.structs.replace(probe, strategy=strategy, slices=_slices(probe.slices, strategy))


def _slices(slices: int | None, strategy: str) -> int | None:
    """Slices stay where they mean something."""
    return slices if any(name in THRIFTIEST for name in strategy.split(":")) else None


def with_shortfalls(found: Recommendation, measure: Callable[[ProbeSpec], Measurement]) -> Recommendation:
    """The same with what the cheaper strategies miss by. ``measure`` runs probes on the `unlimited` card."""

    def measured(option: Option) -> Option:
        whole = measure(msgspec.structs.replace(option.measurement.spec, budget=None))
        misses_by = whole.peak_reserved_bytes - found.budget_bytes if whole.fits else None
        return msgspec.structs.replace(option, unlimited=whole, misses_by_bytes=misses_by)

    return msgspec.structs.replace(found, cheaper=tuple(map(measured, found.cheaper)))


def _recommendation(choice: Choice, device: Device, budget: int) -> Recommendation:
    return Recommendation(
        device=device.info,
        budget_bytes=budget,
        recommended=_option(choice.chosen) if choice.chosen else None,
        cheaper=tuple(map(_option, choice.cheaper)),
        candidates=tuple(map(_option, choice.probes)),
        failure=_option(choice.failure) if choice.failure else None,
    )


def _option(tried: Tried) -> Option:
    return Option(strategy=tried.mix.strategy, recomputation=tried.mix.cost, measurement=tried.measurement)
