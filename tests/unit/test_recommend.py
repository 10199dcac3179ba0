"""Recommendations from a made-up device; the costs are really counted."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from membench.device import Device, find_card, resolve, unlimited
from membench.errors import UsageError
from membench.recommend import LADDER, THRIFTIEST, find_cheapest, network_mixes, with_shortfalls
from membench.result import Measurement
from membench.spec import ModelSpec, NetworkSpec, ProbeSpec
from membench.units import GIB

NETWORK = NetworkSpec(base_channels=16, stages=2, blocks=1, expansion=2, norm_groups=4)
KEPT = {"plain": 10, "selective": 6, "checkpoint": 4, "reversible": 3, "reversible-sliced": 1}


def peak(spec: ProbeSpec) -> int:
    """Seven eighths of what is kept are at full resolution."""
    first, *others = spec.strategy.split(":")
    return (7 * KEPT[first] + KEPT[others[0] if others else first]) * GIB // 8


def machine(memory: int) -> Callable[[ProbeSpec], Measurement]:
    def measure(spec: ProbeSpec) -> Measurement:
        if peak(spec) > (spec.budget or memory):
            return Measurement(spec=spec, status="oom", peak_reserved_bytes=memory // 2)
        return Measurement(spec=spec, status="fits", peak_reserved_bytes=peak(spec))

    return measure


@pytest.fixture
def device() -> Device:
    return resolve("a100-40gb")


def probe(budget: int | None, **changes: object) -> ProbeSpec:
    return replace(ProbeSpec(network=NETWORK, volume=(16, 16, 16), budget=budget, strategy="auto"), **changes)


def test_a_mix_costs_between_its_strategies_and_the_network_decides_which_there_are() -> None:
    found = {mix.strategy: mix.cost for mix in network_mixes(NETWORK)}
    assert found["plain"] == 1.0
    assert 1.0 < found["reversible:plain"] < found["reversible"]
    assert not any("checkpoint" in name for name in found), "reversible costs the same and keeps less"
    uncoupled = network_mixes(replace(NETWORK, coupling="none"))
    assert {name for mix in uncoupled for name in mix.strategy.split(":")} == {"plain", "selective", "checkpoint"}


def test_the_cheapest_that_fits_is_named_with_what_others_miss_by(device: Device) -> None:
    asked = probe(4 * GIB)
    found = find_cheapest(asked, device, network_mixes(NETWORK), machine(40 * GIB))
    assert found.recommended is not None
    assert found.recommended.measurement.spec == replace(asked, strategy=found.recommended.strategy)
    assert found.recommended.strategy.split(":")[0] == "reversible"
    assert found.subject == found.recommended
    assert all(option.misses_by_bytes is None for option in found.cheaper)
    lifted = with_shortfalls(found, machine(1000 * GIB))
    assert lifted.cheaper
    for option in lifted.cheaper:
        assert option.unlimited is not None
        assert option.misses_by_bytes == peak(option.measurement.spec) - 4 * GIB > 0
        assert option.recomputation < found.recommended.recomputation


def test_without_a_budget_the_card_is_the_budget(device: Device) -> None:
    found = find_cheapest(probe(None), device, network_mixes(NETWORK), machine(40 * GIB))
    assert found.budget_bytes == device.usable_bytes
    assert found.subject.strategy == "plain"
    assert found.cheaper == ()


def test_where_nothing_fits_the_thriftiest_is_the_subject(device: Device) -> None:
    found = find_cheapest(probe(GIB // 2), device, network_mixes(NETWORK), machine(40 * GIB))
    assert found.recommended is None
    assert found.subject.strategy == "reversible-sliced"


def test_slices_go_to_what_runs_in_slices_alone(device: Device) -> None:
    asked: list[ProbeSpec] = []
    answer = machine(40 * GIB)

    def measure(spec: ProbeSpec) -> Measurement:
        asked.append(spec)
        return answer(spec)

    find_cheapest(probe(GIB // 2, slices=3), device, network_mixes(NETWORK, slices=3), measure)
    assert {("sliced" in spec.strategy, spec.slices) for spec in asked} == {(True, 3), (False, None)}


def test_strategies_can_be_chosen() -> None:
    found = network_mixes(NETWORK, ["plain", "checkpoint"])
    assert {mix.strategy for mix in found} == {"plain", "checkpoint", "plain:checkpoint", "checkpoint:plain"}


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no strategy 'nonsense'"):
        network_mixes(NETWORK, ["plain", "nonsense"])
    with pytest.raises(UsageError, match="additive"):
        network_mixes(replace(NETWORK, coupling="none"), ["reversible"])
    with pytest.raises(UsageError, match="norm groups"):
        network_mixes(replace(NETWORK, norm_groups=7), LADDER + THRIFTIEST)


def test_the_unlimited_card_is_the_same_but_for_its_memory(device: Device) -> None:
    roomy = unlimited(device)
    assert roomy is not None
    assert roomy.usable_bytes > 1000 * GIB
    assert replace(roomy.info, total_bytes=device.info.total_bytes) == device.info
    described = find_card("a100-40gb")[1].describe()
    assert device.environment["MEMBENCH_DEVICE"] == described
    changed = dict(entry.split("=") for entry in roomy.environment["MEMBENCH_DEVICE"].split(";"))
    original = dict(entry.split("=") for entry in described.split(";"))
    assert {name for name in original if original[name] != changed[name]} == {"total_bytes"}


def test_a_real_gpu_has_no_unlimited_twin(device: Device) -> None:
    assert unlimited(replace(device, info=replace(device.info, kind="real"))) is None


def test_a_model_of_the_users_is_run_as_it_is(device: Device) -> None:
    model = ModelSpec(factory="nets:unet", inputs=("1x4x{volume}",))
    assert [mix.strategy for mix in network_mixes(model)] == ["plain", "offload"]
    assert [mix.strategy for mix in network_mixes(ModelSpec(step="nets:step"))] == ["plain"]
    with pytest.raises(UsageError, match="run as it is"):
        network_mixes(model, ["reversible"])

    def measure(spec: ProbeSpec) -> Measurement:
        status = "fits" if spec.strategy == "offload" else "oom"
        return Measurement(spec=spec, status=status)

    found = find_cheapest(ProbeSpec(network=model, strategy="plain"), device, network_mixes(model), measure)
    assert found.recommended
    assert found.recommended.strategy == "offload"
    assert [option.strategy for option in found.cheaper] == ["plain"]
