"""The error of the emulated card, told apart by cause; and which card of the catalog a GPU is."""

import msgspec
import pytest

from membench.device import Device, catalog
from membench.errors import UsageError
from membench.result import DeviceInfo, Measurement
from membench.spec import ProbeSpec
from membench.validate.pairs import PROBES, Pair, Side, card_of, chosen_probes


def side(allocated: int, reserved: int, workspace: int | None) -> Side:
    found = Measurement(spec=ProbeSpec(), status="fits", peak_allocated_bytes=allocated, peak_reserved_bytes=reserved)
    return Side(measurement=found, workspace_bytes=workspace)


def gpu(title: str, total_bytes: int) -> Device:
    info = DeviceInfo(
        name="cuda", kind="real", title=title, total_bytes=total_bytes, compute_capability="8.0", multiprocessors=1
    )
    return Device(info=info, usable_bytes=total_bytes, environment={})


def test_errors_add_up_by_cause() -> None:
    pair = Pair(name="one", real=side(1000, 1500, 300), emulated=side(1100, 1540, 340))
    assert pair.error_percent("allocated") == pytest.approx(10)
    assert pair.error_percent("reserved") == pytest.approx(40 / 15)
    errors = {cause: pair.error_bytes(cause) for cause in ("tensors", "workspace", "fragmentation")}
    assert errors == {"tensors": 60, "workspace": 40, "fragmentation": -60}
    assert sum(value or 0 for value in errors.values()) == 1540 - 1500


def test_a_workspace_that_is_not_known_is_no_error() -> None:
    pair = Pair(name="one", real=side(1000, 1500, None), emulated=side(1000, 1500, 10))
    assert pair.error_bytes("workspace") is None
    assert pair.error_bytes("tensors") is None
    assert pair.error_bytes("fragmentation") == 0


def test_a_gpu_is_the_card_of_its_name_and_nearest_memory() -> None:
    for name, card in catalog().items():
        assert card_of(gpu(card.name, card.total_bytes)) == name
    names = [card.name for card in catalog().values()]
    twins = [name for name in names if names.count(name) > 1]
    for name, card in catalog().items():
        if card.name in twins:
            assert card_of(gpu(card.name, card.total_bytes + (50 << 20))) == name


def test_a_gpu_without_a_card_is_told_what_to_do() -> None:
    with pytest.raises(UsageError, match="the catalog has no NVIDIA H900; name the card that it is with --emulated"):
        card_of(gpu("NVIDIA H900", 1 << 40))


def test_the_probes_can_be_run_and_are_distinct() -> None:
    for probe in PROBES.values():
        probe.validate()
    assert len({probe.key() for probe in PROBES.values()}) == len(PROBES)
    assert list(chosen_probes(())) == list(PROBES)
    assert list(chosen_probes(["conv plain"])) == ["conv plain"]
    keys = {msgspec.structs.replace(probe, volume=(32, 32, 32)).key() for probe in PROBES.values()}
    assert len(keys) == len(PROBES)
