"""The cheapest mix of strategies that fits, one strategy for each resolution of a network; knows only probes.

Memory is spent at full resolution, time everywhere. So a mix that computes little again may fit as well as one that
computes everything again; which ones do is measured.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from membench.result import Measurement

# Resolutions below the fourth hold less than a thousandth of the voxels: they all get the same strategy.
APART = 4


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy as `ProbeSpec` names it, and its ``cost`` in computation over that of ``plain``.

    ``thrift`` says for each resolution how far down the ladder of strategies it is, the one that keeps most being 0.
    """

    strategy: str
    cost: float
    thrift: tuple[int, ...]

    def keeps_no_more_than(self, other: "Mix") -> bool:
        """Whether at every resolution this mix is as thrifty as the other, which it then fits wherever the other does.

        That is expected, not known: the search measures the neighbours of what it finds.
        """
        return all(mine >= theirs for mine, theirs in zip(self.thrift, other.thrift, strict=True))


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A mix and its measurement."""

    mix: Mix
    measurement: Measurement


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """``chosen`` is the cheapest mix that fits; None when none does.

    ``cheaper`` are measured and out of memory, the nearest in cost first, and every mix that is cheaper than the chosen
    one keeps as much as one of them, or more. ``probes`` are in the order in which they were asked for. A probe that
    ended with anything but ``fits`` or ``oom`` ends the search and is its ``failure``.
    """

    chosen: Tried | None
    cheaper: tuple[Tried, ...]
    probes: tuple[Tried, ...]
    failure: Tried | None = None


def mixes(
    stages: int, ladder: Sequence[str], thriftiest: Sequence[str], cost: Callable[[str], float]
) -> tuple[Mix, ...]:
    """All mixes that are worth a probe, the cheapest first.

    Each strategy of ``ladder`` keeps no more than the one before it. Those of ``thriftiest`` keep less still, and are
    taken for the full resolution of a mix, where memory is spent, or for all stages at once; either may be empty.
    ``cost`` gives the cost of a strategy; that of a mix is the cost of the first of the ladder and what each resolution
    adds. A mix is not worth a probe if another one is as thrifty at every resolution and costs no more.
    """
    groups = min(stages, APART)
    found = {mix.strategy: mix for mix in (_mixed(stages, groups, ladder, thriftiest, cost) if ladder else ())}
    for rung, name in enumerate(thriftiest, len(ladder)):
        found[name] = Mix(strategy=name, cost=cost(name), thrift=(rung,) * groups)
    ordered = sorted(found.values(), key=lambda mix: (mix.cost, [-rung for rung in mix.thrift]))
    return tuple(
        mix for at, mix in enumerate(ordered) if not any(better.keeps_no_more_than(mix) for better in ordered[:at])
    )


def _mixed(
    stages: int, groups: int, ladder: Sequence[str], thriftiest: Sequence[str], cost: Callable[[str], float]
) -> Iterator[Mix]:
    """Every way to give the groups strategies."""
    least = cost(ladder[0])

    def named(names: Sequence[str]) -> str:
        each = [*names, *[names[-1]] * (stages - groups)]
        return each[0] if len(set(each)) == 1 else ":".join(each)

    def added(group: int, name: str) -> float:
        return cost(named([name if at == group else ladder[0] for at in range(groups)])) - least

    choices = [[*ladder, *thriftiest], *[[*ladder]] * (groups - 1)]
    extra = [{name: added(group, name) for name in names} for group, names in enumerate(choices)]
    for rungs in itertools.product(*map(range, map(len, choices))):
        names = [choices[group][rung] for group, rung in enumerate(rungs)]
        more = sum(extra[group][name] for group, name in enumerate(names))
        yield Mix(strategy=named(names), cost=least + more, thrift=rungs)


def cheapest(
    found: Sequence[Mix], measure: Callable[[Mix], Measurement], known: Mapping[str, Measurement] | None = None
) -> Choice:
    """Measure until the first of ``found``, which are in order of cost, that fits is known; see `Choice`.

    ``known`` are measurements from before, by the strategy.

    A mix that does not fit rules out those that keep more, and one that fits those that cost more; each probe is of
    the mix that rules out most, whichever way it ends.
    """
    search = _Search(found)
    search.measured = {at: known[mix.strategy] for at, mix in enumerate(found) if known and mix.strategy in known}
    while (index := search.next()) is not None:
        search.measured[index] = measure(found[index])
    return search.choice()


class _Search:
    def __init__(self, found: Sequence[Mix]) -> None:
        self.mixes = found
        self.measured: dict[int, Measurement] = {}

    @property
    def best(self) -> int:
        """The place of the cheapest mix that was seen to fit; one after the last when there is none."""
        return min((at for at, measurement in self.measured.items() if measurement.fits), default=len(self.mixes))

    @property
    def failure(self) -> int | None:
        return next((at for at, known in self.measured.items() if known.status not in ("fits", "oom")), None)

    def next(self) -> int | None:
        """The place of the mix to measure next; None when the search is over."""
        if self.failure is not None:
            return None
        open_ = [at for at in range(self.best) if not self._ruled_out(at)]
        if open_:
            return max(open_, key=lambda at: min(len(open_) - open_.index(at), self._rules_out(at, open_)))
        return next((at for at in self._thriftiest() if at not in self.measured), None)

    def choice(self) -> Choice:
        best, failure = self.best, self.failure
        return Choice(
            chosen=self._tried(best) if best < len(self.mixes) else None,
            cheaper=tuple(self._tried(at) for at in reversed(self._thriftiest()) if at in self.measured),
            probes=tuple(self._tried(at) for at in self.measured),
            failure=None if failure is None else self._tried(failure),
        )

    def _ruled_out(self, at: int) -> bool:
        misfits = (misfit for misfit, measurement in self.measured.items() if measurement.status == "oom")
        return any(self.mixes[misfit].keeps_no_more_than(self.mixes[at]) for misfit in misfits)

    def _rules_out(self, at: int, open_: Sequence[int]) -> int:
        return sum(self.mixes[at].keeps_no_more_than(self.mixes[other]) for other in open_)

    def _thriftiest(self) -> list[int]:
        """Of the mixes that are cheaper than the best, those that none of the others is as thrifty as everywhere."""
        cheaper = range(self.best)
        return [
            at
            for at in cheaper
            if not any(self.mixes[other].keeps_no_more_than(self.mixes[at]) for other in cheaper if other != at)
        ]

    def _tried(self, at: int) -> Tried:
        return Tried(mix=self.mixes[at], measurement=self.measured[at])
