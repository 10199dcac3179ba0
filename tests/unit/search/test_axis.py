import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membench.errors import UsageError
from membench.search import Axis
from membench.spec import NetworkSpec, ProbeSpec, SearchSpec


def axis(name: str, *, network: NetworkSpec | None = None, volume=(64, 64, 64), **fields) -> Axis:
    probe = ProbeSpec(network=network or NetworkSpec(), volume=volume)
    return Axis(SearchSpec(axis=name, probe=probe, **fields))


def test_brats_shape_is_rounded_up_to_the_grid():
    thirty = axis("volume", ratio=(240, 240, 155)).at(30)

    assert thirty.value == (240, 240, 160)
    assert thirty.spec.volume == (240, 240, 160)
    assert thirty.extent == 240 * 240 * 160


@given(
    ratio=st.tuples(*[st.integers(1, 300)] * 3),
    stages=st.integers(1, 6),
    index=st.integers(1, 60),
)
def test_every_volume_divides_and_is_no_smaller_than_its_ratio(ratio, stages, index):
    network = NetworkSpec(stages=stages)
    candidate = axis("volume", network=network, ratio=ratio).at(index)

    candidate.spec.validate()
    assert max(candidate.spec.volume) == index * network.grid
    for side, part in zip(candidate.spec.volume, ratio, strict=True):
        exact = index * network.grid * part / max(ratio)
        assert exact - 1e-9 <= side < exact + network.grid


@given(ratio=st.tuples(*[st.integers(1, 300)] * 3), index=st.integers(1, 200), below=st.floats(0.0, 0.999))
def test_index_at_is_the_largest_value_within_the_extent(ratio, index, below):
    volumes = axis("volume", ratio=ratio)
    here, after = volumes.extent(index), volumes.extent(index + 1)

    assert here < after
    assert volumes.index_at(here + below * (after - here - 1)) == index
    assert volumes.index_at(volumes.extent(1) - 1) == 0


def test_stages_end_where_the_volume_does_not_divide():
    assert axis("stages", volume=(48, 96, 80)).last == 5  # 48 = 3 * 2**4, so 2**4 divides and 2**5 does not
    assert axis("stages", volume=(155, 240, 240)).last == 1
    axis("stages", volume=(48, 96, 80)).at(5).spec.validate()
    with pytest.raises(UsageError):
        ProbeSpec(network=NetworkSpec(stages=6), volume=(48, 96, 80)).validate()


@pytest.mark.parametrize("coupling", ["additive", "none"])
@pytest.mark.parametrize(
    ("norm", "multiplier", "step"), [("group", 2.0, 16), ("instance", 2.0, 2), ("none", 2.0, 2), ("group", 1.5, 128)]
)
def test_channels_go_in_one_step_for_coupled_and_uncoupled_networks(coupling, norm, multiplier, step):
    network = NetworkSpec(coupling=coupling, norm=norm, channel_multiplier=multiplier)
    channels = axis("channels", network=network)

    assert [channels.at(index).value for index in (1, 2, 3)] == [step, 2 * step, 3 * step]
    for index in (1, 2, 3, 7):
        channels.at(index).spec.validate()


def test_channels_end_where_they_stop_growing():
    assert axis("channels", network=NetworkSpec(max_channels=320)).last == 320 // 16


def test_channels_that_no_step_divides_are_refused():
    with pytest.raises(UsageError, match=r"channel multiplier 1\.1 over 4 stages"):
        axis("channels", network=NetworkSpec(channel_multiplier=1.1))


def test_blocks_and_batch_are_put_where_they_belong():
    assert axis("blocks").at(7).spec.network.blocks == 7
    assert axis("batch").at(7).spec.batch == 7
    assert axis("batch").at(7).spec.network == NetworkSpec()


def test_start_and_limit_are_in_the_axis_own_unit():
    volumes = axis("volume", start=100, limit=167)

    assert volumes.first_guess == 12  # 96 voxels
    assert volumes.last == 20  # 160 voxels
    assert axis("volume", start=9999, limit=160).first_guess == 20
    assert axis("volume", start=1).first_guess == 1


@pytest.mark.parametrize("fields", [{"limit": 7}, {"limit": 0}, {"start": 0}, {"ratio": (1, 0, 1)}])
def test_an_axis_without_values_is_refused(fields):
    with pytest.raises(UsageError):
        axis("volume", **fields)


def test_the_network_is_checked_before_anything_is_probed():
    with pytest.raises(UsageError, match="kernel"):
        axis("volume", network=NetworkSpec(kernel_size=2))
    with pytest.raises(UsageError, match="does not divide"):
        axis("blocks", volume=(64, 64, 60))


def test_every_axis_ends():
    for name in ("volume", "stages", "blocks", "channels", "batch"):
        assert 1 <= axis(name).last < math.inf


def test_auto_is_nothing_to_search_with():
    with pytest.raises(UsageError, match="strategy auto is chosen for one probe"):
        Axis(SearchSpec(axis="volume", probe=ProbeSpec(strategy="auto")))
