"""The floor against hand counts, against the networks themselves, and against what strategies are measured to hold."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membench.device import resolve
from membench.errors import UsageError
from membench.floor import Floor, floor_bytes, parameters
from membench.models import parameter_count, strategies
from membench.probe import Prober
from membench.result import Measurement
from membench.spec import NetworkSpec, ProbeSpec

# One block of 8 -> 16 -> 8 hidden channels in each half; a stage of 16 and one of 32 channels.
SMALL = NetworkSpec(in_channels=1, out_channels=2, base_channels=16, stages=2, blocks=1, expansion=2, norm_groups=4)
VOXELS = 16 * 16 * 16


def _function(channels: int, hidden: int) -> int:
    return 2 * channels * hidden + hidden * 27 + 2 * (2 * hidden + channels)


def test_parts_are_those_counted_by_hand() -> None:
    fine, coarse = 2 * _function(8, 16), 2 * _function(16, 32)
    stem, head, down, up = 27 * 16 + 16, 16 * 2 + 2, 8 * 16 * 32 + 32, 8 * 32 * 16 + 16
    everything = stem + head + down + up + 2 * fine + coarse
    assert floor_bytes(ProbeSpec(network=SMALL, volume=(16, 16, 16))) == Floor(
        stage=1,
        parameters=4 * everything,
        gradients=4 * (everything - stem - fine),
        optimizer_state=8 * everything,
        input=4 * VOXELS,
        target=2 * VOXELS,
        state=4 * 16 * VOXELS,
        state_gradients=4 * 16 * VOXELS,
        operation=4 * 2 * VOXELS,
    )


def test_half_precision_halves_what_convolutions_read() -> None:
    whole, half = (floor_bytes(ProbeSpec(precision=precision)) for precision in ("fp32", "bf16"))
    assert (half.state, half.operation) == (whole.state // 2, whole.operation // 2)
    assert (half.state_gradients, half.input, half.parameters) == (whole.state_gradients, whole.input, whole.parameters)


def test_a_coarse_stage_that_is_wider_in_bytes_decides() -> None:
    wide = msgspec.structs.replace(SMALL, channel_multiplier=8.0)
    found = floor_bytes(ProbeSpec(network=wide, volume=(64, 64, 64)))
    # The gradient of the skip from full resolution waits meanwhile.
    assert (found.stage, found.state, found.state_gradients) == (2, 4 * 16 * 64**3, 2 * 4 * 16 * 64**3)


def test_a_tiny_volume_leaves_the_optimizers_step() -> None:
    found = floor_bytes(ProbeSpec(network=NetworkSpec(base_channels=512, stages=1), volume=(2, 2, 2)))
    assert (found.stage, found.state) == (0, 0)
    assert found.gradients == found.parameters


def test_momentum_is_one_state() -> None:
    assert 2 * floor_bytes(ProbeSpec(optimizer="sgd")).optimizer_state == floor_bytes(ProbeSpec()).optimizer_state


def test_a_probe_that_cannot_be_run_has_no_floor() -> None:
    with pytest.raises(UsageError, match="does not divide"):
        floor_bytes(ProbeSpec(volume=(63, 64, 64)))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        NetworkSpec,
        in_channels=st.integers(1, 4),
        out_channels=st.integers(1, 3),
        base_channels=st.sampled_from([16, 32, 48]),
        stages=st.integers(1, 4),
        blocks=st.integers(1, 3),
        channel_multiplier=st.sampled_from([1.0, 2.0]),
        max_channels=st.sampled_from([None, 16, 64]),
        block=st.sampled_from(["mbconv", "conv"]),
        expansion=st.integers(1, 4),
        kernel_size=st.sampled_from([1, 3, 5]),
        squeeze_excitation=st.booleans(),
        coupling=st.sampled_from(["additive", "none"]),
        norm=st.sampled_from(["group", "instance", "none"]),
        upsampling=st.sampled_from(["transposed", "trilinear"]),
        skip=st.sampled_from(["sum", "concat"]),
    )
)
def test_parameters_are_those_of_the_built_network(network: NetworkSpec) -> None:
    assert parameters(network) == parameter_count(network)


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(resolve("a100-80gb")) as opened:
        yield opened


def _measure(prober: Prober, strategy: str, **options: object) -> tuple[Measurement, int]:
    probe = ProbeSpec(strategy=strategy, device="a100-80gb", **options)
    return prober(probe), floor_bytes(probe).total


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("strategy", strategies())
def test_no_strategy_is_below_the_floor(prober: Prober, strategy: str, precision: str) -> None:
    for volume in ((32, 32, 32), (96, 96, 96)):
        found, floor = _measure(prober, strategy, precision=precision, volume=volume)
        assert found.fits, found.message
        assert found.peak_requested_bytes > floor


@pytest.mark.slow
def test_the_floor_is_within_sight(prober: Prober) -> None:
    """A bound that nothing comes near would tell nothing."""
    found, floor = _measure(prober, "reversible-sliced", volume=(128, 128, 128))
    assert found.peak_requested_bytes < 2 * floor
