"""Memory against recomputation: what each strategy needs and what it computes for that, at one volume."""

import msgspec

from membench.floor import known_floor
from membench.result import Measurement, Point
from membench.sweep import PricedProbe, SweepResult


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy: its ``recomputation``, the operations of a step over those of ``plain``, and its probe.

    ``on_front`` says that no other strategy needs less memory without computing more.
    """

    recomputation: float
    point: Point
    on_front: bool

    @property
    def strategy(self) -> str:
        return self.measurement.spec.strategy

    @property
    def measurement(self) -> Measurement:
        return self.point.measurement

    @property
    def floor(self) -> int | None:
        """The least that any exact training step of the network must hold, in bytes; None where it is not known."""
        return known_floor(self.measurement.spec)

    @property
    def multiple(self) -> float | None:
        """The peak allocated over the floor, where both are known."""
        found = self.measurement
        return found.peak_allocated_bytes / self.floor if found.fits and self.floor else None

    @property
    def pays_otherwise(self) -> bool:
        """Whether it pays in copies to the host, which are no operations: it is on no front of operations."""
        return bool(self.measurement.host_bytes)


def prices(result: SweepResult) -> list[tuple[Price, ...]]:
    """The strategies of each network and volume that were probed, the one that computes least first."""
    found: dict[tuple[object, ...], list[tuple[PricedProbe, Point]]] = {}
    for priced, point in zip(result.plan.tradeoff, result.tradeoff, strict=True):
        if point is not None:
            found.setdefault((priced.probe.network, priced.probe.volume), []).append((priced, point))
    return [_priced(members) for members in found.values()]


def _priced(members: list[tuple[PricedProbe, Point]]) -> tuple[Price, ...]:
    made = [Price(recomputation=priced.recomputation, point=point, on_front=False) for priced, point in members]
    made.sort(key=lambda price: (price.recomputation, price.measurement.peak_reserved_bytes))
    rivals = [price for price in made if price.measurement.fits and not price.pays_otherwise]
    return tuple(msgspec.structs.replace(price, on_front=_leads(price, rivals)) for price in made)


def _leads(price: Price, rivals: list[Price]) -> bool:
    def beats(rival: Price) -> bool:
        mine = (price.recomputation, price.measurement.peak_reserved_bytes)
        theirs = (rival.recomputation, rival.measurement.peak_reserved_bytes)
        return theirs != mine and theirs[0] <= mine[0] and theirs[1] <= mine[1]

    return price in rivals and not any(map(beats, rivals))
