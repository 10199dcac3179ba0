"""The search for the cheapest mix, on made-up strategies whose peaks are sums over resolutions."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membench.result import Measurement, Status
from membench.search import Choice, Mix, cheapest, mixes
from membench.spec import ProbeSpec

LADDER = ("all", "some", "little")
LAST = ("least",)
COSTS = {"all": 0.0, "some": 1.0, "little": 2.0, "least": 3.0}
KEPT = {"all": 1.0, "some": 0.5, "little": 0.2, "least": 0.05}
TIME_SHARES = (0.1, 0.04, 0.015, 0.004)
MEMORY_SHARES = (0.75, 0.19, 0.05, 0.01)


def names(strategy: str, stages: int) -> list[str]:
    found = strategy.split(":")
    return found if len(found) == stages else found * stages


def cost(strategy: str, stages: int = 4) -> float:
    shares = [*TIME_SHARES, *[0.0] * stages]
    return 1 + sum(COSTS[name] * share for name, share in zip(names(strategy, stages), shares, strict=False))


def peak(mix: Mix) -> float:
    return sum(KEPT[name] * share for name, share in zip(names(mix.strategy, 4), MEMORY_SHARES, strict=True))


def measure(peaks: Callable[[Mix], float], budget: float) -> Callable[[Mix], Measurement]:
    def probe(mix: Mix) -> Measurement:
        status: Status = "fits" if peaks(mix) <= budget else "oom"
        return Measurement(spec=ProbeSpec(strategy=mix.strategy), status=status)

    return probe


FOUND = mixes(4, LADDER, LAST, cost)


def first_that_fits(peaks: Callable[[Mix], float], budget: float) -> Mix | None:
    return next((mix for mix in FOUND if peaks(mix) <= budget), None)


def test_every_mix_of_the_ladder_is_there_and_the_thriftiest_at_full_resolution_and_everywhere() -> None:
    assert len({mix.strategy for mix in FOUND}) == len(FOUND) == 4 * 3**3 + 1
    assert FOUND[0] == Mix(strategy="all", cost=1.0, thrift=(0, 0, 0, 0))
    assert FOUND[-1].strategy == "least"
    assert "least:all:some:little" in {mix.strategy for mix in FOUND}
    assert not any("least" in mix.strategy.split(":")[1:] for mix in FOUND)


def test_costs_add_up_and_are_in_order() -> None:
    by_name = {mix.strategy: mix.cost for mix in FOUND}
    assert by_name["some:all:little:all"] == pytest.approx(1 + 0.1 + 2 * 0.015)
    assert list(by_name.values()) == sorted(by_name.values())


def test_what_costs_no_less_than_something_thriftier_is_left_out() -> None:
    costs = COSTS | {"some": COSTS["little"]}

    def flat(strategy: str) -> float:
        return 1 + sum(costs[name] * share for name, share in zip(names(strategy, 4), TIME_SHARES, strict=True))

    found = mixes(4, LADDER, (), flat)
    assert len(found) == 2**4
    assert not any("some" in mix.strategy for mix in found)


@pytest.mark.parametrize("stages", [1, 2, 6])
def test_stages_below_the_fourth_are_as_the_fourth(stages: int) -> None:
    found = mixes(stages, LADDER, LAST, lambda strategy: cost(strategy, stages))
    assert len(found) == {1: 4, 2: 13, 6: 109}[stages]
    parts = [mix.strategy.split(":") for mix in found]
    assert {len(each) for each in parts} == ({1} if stages == 1 else {1, stages})
    assert all(len(set(each[3:])) == 1 for each in parts if len(each) > 4)


def test_only_the_thriftiest_can_be_asked_for() -> None:
    assert [mix.strategy for mix in mixes(4, (), LAST, cost)] == ["least"]


def certified(choice: Choice, budget: float) -> bool:
    """What is cheaper than the chosen mix keeps no less than something measured not to fit."""
    place = len(FOUND) if choice.chosen is None else FOUND.index(choice.chosen.mix)
    misfits = [tried for tried in choice.probes if tried.measurement.status == "oom"]
    return (
        all(tried in misfits and FOUND.index(tried.mix) < place for tried in choice.cheaper)
        and all(any(tried.mix.keeps_no_more_than(mix) for tried in choice.cheaper) for mix in FOUND[:place])
        and (choice.chosen is None or choice.chosen.measurement.fits)
    )


@given(budget=st.floats(0.0, 1.2))
@settings(deadline=None, max_examples=60)
def test_the_cheapest_is_found_with_few_probes_and_a_certificate(budget: float) -> None:
    choice = cheapest(FOUND, measure(peak, budget))
    assert (choice.chosen.mix if choice.chosen else None) == first_that_fits(peak, budget)
    assert certified(choice, budget)
    assert len(choice.probes) <= 12
    assert len({tried.mix.strategy for tried in choice.probes}) == len(choice.probes)


@given(budget=st.floats(0.0, 1.2), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_peaks_out_of_order_leave_a_certificate_of_what_was_measured(budget: float, seed: int) -> None:
    rng = random.Random(seed)
    noise = {mix.strategy: rng.uniform(0.8, 1.2) for mix in FOUND}
    choice = cheapest(FOUND, measure(lambda mix: peak(mix) * noise[mix.strategy], budget))
    assert certified(choice, budget)


def test_the_nearest_in_cost_comes_first() -> None:
    choice = cheapest(FOUND, measure(peak, 0.3))
    costs = [tried.mix.cost for tried in choice.cheaper]
    assert len(costs) > 1
    assert costs == sorted(costs, reverse=True)


def test_where_nothing_fits_the_thriftiest_was_measured() -> None:
    choice = cheapest(FOUND, measure(peak, 0.0))
    assert choice.chosen is None
    assert [tried.mix.strategy for tried in choice.cheaper] == ["least"]


def test_where_everything_fits_nothing_is_computed_again() -> None:
    choice = cheapest(FOUND, measure(peak, 2.0))
    assert choice.chosen is not None
    assert choice.chosen.mix.strategy == "all"
    assert choice.cheaper == ()


def test_a_failure_ends_the_search() -> None:
    def probe(mix: Mix) -> Measurement:
        return Measurement(spec=ProbeSpec(), status="crashed", message="killed")

    choice = cheapest(FOUND, probe)
    assert len(choice.probes) == 1
    assert choice.failure == choice.probes[0]
    assert choice.chosen is None
