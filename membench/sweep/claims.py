"""What a sweep says about the paper: its claims, and every variant against every baseline."""

from collections.abc import Iterator

import msgspec

from membench.result import Claim, SearchResult
from membench.spec import NetworkSpec, SearchSpec
from membench.sweep.result import SweepResult


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The extent of the largest fit of ``variant`` over that of ``baseline``, all else equal; None if not measured.

    ``search`` and ``against`` are positions in the sweep's searches, those of the sensitivity studies last.
    """

    axis: str
    variant: str
    baseline: str
    search: int
    against: int
    ratio: float | None


def extent_ratio(candidate: SearchResult, reference: SearchResult) -> float | None:
    """How many times the reference's largest extent the candidate's is; None unless both edges are known.

    A candidate whose axis ended before memory did still gives a lower bound; a reference does not.
    """
    if not (candidate.certified and reference.certified) or reference.limit_reached:
        return None
    if candidate.largest_fit is None or reference.largest_fit is None:
        return None
    return candidate.largest_fit.extent / reference.largest_fit.extent


def claims(result: SweepResult) -> tuple[Claim, ...]:
    """The paper's claims beside what was measured. A claim is reproduced when the ratio is at least the paper's."""
    found = []
    for planned in result.plan.claims:
        reference, candidate = result.searches[planned.reference], result.searches[planned.candidate]
        ratio = extent_ratio(candidate, reference)
        found.append(
            Claim(
                claim=planned.claim,
                paper_ratio=planned.paper_ratio,
                measured_ratio=ratio,
                reproduced=ratio is not None and ratio >= planned.paper_ratio,
                reference=reference,
                candidate=candidate,
            )
        )
    return tuple(found)


def ratios(result: SweepResult) -> tuple[Ratio, ...]:
    """Every search against the search of every baseline with the same axis, budget and network."""
    return tuple(_ratios(result))


def _ratios(result: SweepResult) -> Iterator[Ratio]:
    baselines: dict[tuple[SearchSpec, str], int] = {}
    for position, search in enumerate(result.all_searches):
        baselines.setdefault((_comparison(search.search), search.search.probe.variant), position)
    for position, search in enumerate(result.all_searches):
        variant = search.search.probe.variant
        for name in result.plan.baselines:
            against = baselines.get((_comparison(search.search), name))
            if against is not None and name != variant:
                ratio = extent_ratio(search, result.all_searches[against])
                yield Ratio(
                    axis=search.search.axis,
                    variant=variant,
                    baseline=name,
                    search=position,
                    against=against,
                    ratio=ratio,
                )


def _comparison(search: SearchSpec) -> SearchSpec:
    """What two searches share when they are comparable: all but strategy, coupling and where they began."""
    network = search.probe.network
    if isinstance(network, NetworkSpec):
        network = msgspec.structs.replace(network, coupling="additive")
    probe = msgspec.structs.replace(search.probe, network=network, strategy="")
    return msgspec.structs.replace(search, probe=probe, start=None)
