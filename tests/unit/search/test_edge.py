import math
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peaks import BUDGET, Peak, amount, peak_probe, realistic, realistic_edge, status_search

from membench.result import Measurement, SearchResult
from membench.search import search
from membench.search.edge import GUESSES, MOVES
from membench.spec import NetworkSpec, ProbeSpec, SearchSpec
from membench.units import MIB

PROBE = ProbeSpec(budget=BUDGET, network=NetworkSpec(stages=1), volume=(64, 64, 64))


def blocks(limit: int, start: int | None = None) -> SearchSpec:
    return SearchSpec(axis="blocks", probe=PROBE, limit=limit, start=start)


def values(result: SearchResult) -> list[int]:
    return [amount(result.search.axis, point.measurement.spec) for point in result.probes]


def check_certificate(result: SearchResult, limit: int) -> None:
    """What a finished search promises, from its probes alone."""
    statuses = {point.value: point.measurement.status for point in result.probes}
    fitting = [value for value, status in statuses.items() if status == "fits"]
    largest = result.largest_fit.value if result.largest_fit else 0

    assert result.certified
    assert len(statuses) == len(result.probes), "a value was measured twice"
    assert largest == max(fitting, default=0)
    assert result.limit_reached == (largest == limit)
    assert (result.smallest_unfit is None) == result.limit_reached
    if result.smallest_unfit is not None:
        assert result.smallest_unfit.value == largest + 1
        assert statuses[largest + 1] == "oom"
        assert largest <= 1 or largest - 1 in statuses
    assert result.holes == tuple(sorted(v for v, status in statuses.items() if status == "oom" and v < largest))


@settings(max_examples=400, derandomize=True)
@given(
    axis=st.sampled_from(["volume", "blocks", "channels", "batch"]),
    seed=st.integers(0, 10**9),
    started=st.none() | st.floats(0.3, 1.0),
)
def test_realistic_peaks_take_at_most_eight_probes(axis, seed, started):
    """From the axis's own start, and from one that a preset chose on the way to the edge."""
    peaks = realistic(axis, seed)
    start = None if started is None else max(1, int(started * realistic_edge(axis, seed)))
    result = search(SearchSpec(axis=axis, probe=ProbeSpec(budget=BUDGET), start=start), peak_probe(axis, peaks))

    fit, unfit = result.largest_fit, result.smallest_unfit
    assert len(result.probes) <= 8, values(result)
    assert unfit is not None
    assert peaks(amount(axis, unfit.measurement.spec)).least > BUDGET
    assert fit is None or peaks(amount(axis, fit.measurement.spec)).least <= BUDGET


@settings(max_examples=400)
@given(data=st.data(), limit=st.integers(1, 4000), start=st.integers(1, 5000))
def test_the_certificate_holds_on_anything_and_the_search_ends(data, limit, start):
    """An adversary answers each probe as it likes, peaks included."""

    def probe(spec: ProbeSpec) -> Measurement:
        status = data.draw(st.sampled_from(["fits", "oom"]))
        allocated = data.draw(st.integers(0, BUDGET))
        reserved = data.draw(st.integers(0, BUDGET))
        return Measurement(spec=spec, status=status, peak_allocated_bytes=allocated, peak_reserved_bytes=reserved)

    result = search(blocks(limit, start), probe)

    check_certificate(result, limit)
    # One bracket, and one more for each time the edge moved up; each doubles once and halves once.
    assert len(result.probes) <= GUESSES + (MOVES + 1) * (2 * math.ceil(math.log2(limit + 1)) + 4)


@settings(max_examples=300)
@given(edge=st.integers(0, 3000), limit=st.integers(1, 3000), start=st.integers(1, 3000))
def test_a_monotone_axis_gives_its_true_edge(edge, limit, start):
    result = status_search(lambda number: "fits" if number <= edge else "oom", blocks(limit, start))

    check_certificate(result, limit)
    assert (result.largest_fit.value if result.largest_fit else 0) == min(edge, limit)
    assert result.holes == ()


@given(
    statuses=st.lists(st.sampled_from(["fits", "oom", "error", "timeout", "crashed"]), min_size=1, max_size=60),
    start=st.integers(1, 60),
)
@example(statuses=["fits", "error"], start=1)
def test_a_failed_probe_ends_the_search_and_counts_as_nothing(statuses, start):
    result = status_search(lambda number: statuses[number - 1], blocks(len(statuses), start))

    failed = [point for point in result.probes if point.measurement.status not in ("fits", "oom")]
    if not failed:
        check_certificate(result, len(statuses))
        return
    assert failed == [result.probes[-1]]
    assert result.failure == failed[0]
    assert not result.certified
    assert result.finished
    assert result.largest_fit is None or result.largest_fit.measurement.status == "fits"
    assert result.smallest_unfit is None or result.smallest_unfit.measurement.status == "oom"
    assert failed[0].value not in result.holes


def test_a_fit_after_the_edge_moves_the_edge_and_leaves_a_hole():
    fits = {1, 2, 3, 4, 6, 7}
    result = status_search(lambda number: "fits" if number in fits else "oom", blocks(20, start=5))

    assert result.largest_fit is not None
    assert result.largest_fit.value == 7
    assert result.holes == (5,)
    assert result.smallest_unfit is not None
    assert result.smallest_unfit.value == 8


def test_a_value_below_the_edge_that_does_not_fit_is_a_hole():
    result = status_search(lambda number: "fits" if number <= 9 and number != 8 else "oom", blocks(20, start=9))

    assert result.largest_fit is not None
    assert result.largest_fit.value == 9
    assert result.holes == (8,)


def test_nothing_fits():
    result = status_search(lambda number: "oom", blocks(4096))

    assert result.largest_fit is None
    assert result.smallest_unfit is not None
    assert result.smallest_unfit.value == 1
    assert not result.limit_reached


def test_everything_fits():
    result = search(blocks(500), peak_probe("blocks", lambda number: Peak(MIB, MIB, MIB)))

    assert result.limit_reached
    assert result.largest_fit is not None
    assert result.largest_fit.value == 500
    assert result.smallest_unfit is None
    assert len(result.probes) <= 4


def test_stages_end_at_the_last_that_divides():
    spec = SearchSpec(axis="stages", probe=PROBE)
    result = search(spec, peak_probe("stages", lambda number: Peak(number, number, number)))

    assert result.limit_reached
    assert result.largest_fit is not None
    assert result.largest_fit.value == 7  # 64 = 2**6


def test_a_search_without_a_budget_uses_no_peak_it_cannot_compare():
    probe = ProbeSpec(budget=None)
    spec = SearchSpec(axis="blocks", probe=probe, limit=64)

    def answer(probed: ProbeSpec) -> Measurement:
        fits = probed.network.blocks <= 37
        return Measurement(spec=probed, status="fits" if fits else "oom", peak_allocated_bytes=1, peak_reserved_bytes=1)

    result = search(spec, answer)

    check_certificate(result, 64)
    assert result.largest_fit is not None
    assert result.largest_fit.value == 37


@given(st.sampled_from(["volume", "blocks", "channels", "batch"]), st.integers(0, 10**9), st.integers(0, 12))
def test_a_stopped_search_is_a_prefix_of_the_whole_one(axis, seed, stop):
    spec = SearchSpec(axis=axis, probe=ProbeSpec(budget=BUDGET))
    probe = peak_probe(axis, realistic(axis, seed))
    whole = search(spec, probe)
    asked = Counter[str]()

    def stopping(probed: ProbeSpec) -> Measurement | None:
        asked["probes"] += 1
        return probe(probed) if asked["probes"] <= stop else None

    part = search(spec, stopping)

    assert part.probes == whole.probes[:stop]
    assert part.finished == (len(whole.probes) <= stop)
    assert part.finished or not part.certified


@pytest.mark.parametrize("axis", ["volume", "blocks", "channels", "batch"])
def test_the_same_measurements_give_the_same_search(axis):
    spec = SearchSpec(axis=axis, probe=ProbeSpec(budget=BUDGET))
    probe = peak_probe(axis, realistic(axis, 7))

    assert search(spec, probe) == search(spec, probe)
