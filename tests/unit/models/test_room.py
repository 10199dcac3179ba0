"""How much room slices are given: what the volume needs in any case, and more where a budget leaves it."""

import pytest
import torch
from msgspec.structs import replace

from membench.device import resolve
from membench.models.strategies import room
from membench.models.strategies.room import rooms
from membench.models.strategies.slicing import SPARING
from membench.probe import Prober
from membench.spec import ProbeSpec

CHANNELS = (32, 64, 128, 256)
X = torch.empty(2, 4, 16, 16, 16, device="meta")


def test_without_a_limit_no_level_takes_more_than_the_full_resolution_must() -> None:
    full, *others = rooms(CHANNELS, X)
    assert full == 16 * (1 + SPARING)
    # At a lower level the gradients of those between it and the full resolution are there too.
    assert others == [(full - 8) * 8, (full - 8 - 2) * 64, (full - 8 - 2 - 0.5) * 512]


def test_a_limit_gives_more_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    least = rooms(CHANNELS, X)
    found = []
    for mebibytes in range(0, 64, 4):
        monkeypatch.setattr(room, "_free_bytes", lambda device, free=mebibytes * 2**20: free)
        found.append(rooms(CHANNELS, X))
    assert found[0] == least
    assert found[-1][0] > 2 * least[0]
    assert found == sorted(found)


@pytest.mark.slow
def test_what_fits_without_a_budget_fits_under_every_one_that_is_not_smaller() -> None:
    with Prober(resolve("a100-40gb")) as prober:
        probe = ProbeSpec(strategy="reversible-sliced", volume=(64, 64, 64))
        peak = prober(probe).peak_reserved_bytes
        found = [prober(replace(probe, budget=int(peak * share))) for share in (1, 1.5, 3)]
    assert [(one.status, one.allocator_retries) for one in found] == [("fits", 0)] * 3
    peaks = [one.peak_reserved_bytes for one in found]
    assert peaks[0] == peak < peaks[2], "with room to spare fewer levels are run in slices"
