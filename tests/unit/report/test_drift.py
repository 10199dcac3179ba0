"""The drift of reconstruction in a report: a search whose network is too deep for the bound says so."""

import pytest
from fake_sweep import fake_sweep

from membench.report import drift
from membench.report.data import report_rows
from membench.report.drift import Drift, drift_warning, known_drift
from membench.result import Measurement, Point
from membench.spec import NetworkSpec, ProbeSpec


def warning(blocks: int, **options: object) -> str | None:
    spec = ProbeSpec(network=NetworkSpec(blocks=blocks), **options)
    return drift_warning(Point(value=blocks, extent=blocks, measurement=Measurement(spec=spec, status="fits")))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """In it reversible exceeds the bound from 8 blocks, sliced from 4; there is none deeper than 16."""
    rows = tuple(
        Drift(
            strategy=strategy,
            precision="fp32",
            blocks=blocks,
            input=1e-7,
            gradient=2e-3 if blocks >= first else 5e-4,
            rounding=4e-4,
            bound=1e-3,
        )
        for strategy, first in (("reversible", 8), ("reversible-sliced", 4))
        for blocks in (1, 2, 4, 8, 16)
    )
    monkeypatch.setattr(drift, "known_drift", lambda: rows)


def test_the_table_has_both_precisions_of_both_strategies_and_one_bound_each() -> None:
    found = {(row.strategy, row.precision) for row in known_drift()}
    assert found == {(name, kind) for name in ("reversible", "reversible-sliced") for kind in ("fp32", "bf16")}
    assert all(row.bound > 0 and row.gradient >= 0 and row.rounding > 0 for row in known_drift())
    assert all(row.input == 0 for row in known_drift() if row.precision == "bf16"), "undone to the bit"


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("strategy", "first"),
    [("reversible", 8), ("reversible-sliced", 4), ("reversible-sliced:reversible:plain:plain", 4)],
)
def test_a_network_deeper_than_the_bound_is_warned_of(strategy: str, first: int) -> None:
    assert warning(first - 1, strategy=strategy) is None
    for blocks in (first, 100):
        found = warning(blocks, strategy=strategy)
        assert found is not None
        assert f"from {first} blocks per stage in float32" in found
        assert "beyond the bound of 1e-03" in found


def test_a_network_deeper_than_any_that_was_measured_is_warned_of() -> None:
    for strategy in ("reversible", "reversible-sliced"):
        deepest = max(row.blocks for row in known_drift() if row.strategy == strategy)
        found = warning(deepest + 1, strategy=strategy, precision="bf16")
        assert found is not None
        assert f"drifts was measured to {deepest} blocks per stage: there in bf16 autocast" in found
        assert warning(deepest, strategy=strategy, precision="bf16") is None


def test_what_does_not_reconstruct_does_not_drift() -> None:
    assert warning(100, strategy="plain") is None
    assert warning(100, strategy="checkpoint:selective:plain:offload") is None
    assert warning(100, strategy="reversible", precision="fp16") is None, "not measured"


@pytest.mark.usefixtures("table")
def test_a_report_has_the_warning_at_the_search_that_it_is_about() -> None:
    warned = [row for row in report_rows(fake_sweep()) if any("drifts" in text for text in row.warnings)]
    assert warned
    for row in warned:
        assert "reversible" in row.spec.strategy
        assert row.search.largest_fit is not None
        assert row.search.largest_fit.measurement.spec.unet.blocks >= 8
