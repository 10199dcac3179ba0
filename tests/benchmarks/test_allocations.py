from allocations import LIMIT_SECONDS, PAIRS, measure


def test_a_million_allocations_cost_less_than_two_seconds() -> None:
    for timing in measure(PAIRS, alive=(0, 10_000)):
        assert timing.pairs == 1_000_000
        assert 0 < timing.seconds < LIMIT_SECONDS, timing
