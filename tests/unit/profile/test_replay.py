"""The allocator's rules, by histories written by hand."""

import pytest

from membench.errors import MembenchError
from membench.profile.blocks import Rounding
from membench.profile.replay import History, replay
from membench.snapshot import Block, Event, Segment, Snapshot

MIB = 2**20


def history(*events: tuple[str, int, int], left: tuple[tuple[int, int], ...] = (), **settings: object) -> History:
    """Of events (action, address, size), after which blocks (address, size) are left."""
    blocks = tuple(Block(address=a, size=size, requested_size=size, state="active_allocated") for a, size in left)
    segment = Segment(total_size=20 * MIB, address=0, blocks=blocks)
    trace = tuple(Event(action=action, addr=address, size=size) for action, address, size in events)
    return replay(Snapshot(segments=(segment,), device_traces=(trace,), allocator_settings=settings))


def freed(address: int, size: int) -> tuple[tuple[str, int, int], ...]:
    return (("free_requested", address, size), ("free_completed", address, size))


def test_a_block_of_the_small_pool_is_split_to_512_bytes() -> None:
    found = history(("segment_alloc", 0, 2 * MIB), ("alloc", 0, 1), ("alloc", 512, 1000), left=((0, 512), (512, 1024)))
    assert found.exact
    assert found.allocated == (0, 512, 512 + 1024)
    assert found.reserved == (2 * MIB,) * 3


def test_a_rest_of_at_most_a_mebibyte_stays_with_a_large_block() -> None:
    asked = 19 * MIB
    whole = history(("segment_alloc", 0, 20 * MIB), ("alloc", 0, asked), left=((0, 20 * MIB),))
    split = history(("segment_alloc", 0, 20 * MIB), ("alloc", 0, asked - 512), left=((0, asked - 512),))
    assert whole.allocated[-1] == 20 * MIB
    assert whole.allocations[0].requested == asked
    assert split.allocated[-1] == asked - 512


def test_freed_neighbours_are_one_block_again() -> None:
    found = history(
        ("segment_alloc", 0, 20 * MIB), ("alloc", 0, 2 * MIB), ("alloc", 2 * MIB, 2 * MIB), ("alloc", 4 * MIB, 2 * MIB),
        *freed(0, 2 * MIB), *freed(4 * MIB, 2 * MIB), *freed(2 * MIB, 2 * MIB), ("alloc", 0, 19 * MIB),
        left=((0, 20 * MIB),),
    )  # fmt: skip
    assert max(found.allocated) == 20 * MIB


def test_segments_that_touch_stay_apart() -> None:
    with pytest.raises(MembenchError, match="no free block at 0x0 holds"):
        history(("segment_alloc", 0, 20 * MIB), ("segment_alloc", 20 * MIB, 20 * MIB), ("alloc", 0, 30 * MIB))


def test_mapped_pieces_that_touch_are_one() -> None:
    found = history(
        ("segment_map", 0, 20 * MIB), ("segment_map", 20 * MIB, 20 * MIB), ("alloc", 0, 30 * MIB),
        *freed(0, 30 * MIB), ("segment_unmap", 20 * MIB, 20 * MIB), ("alloc", 0, 19 * MIB), left=((0, 19 * MIB),),
    )  # fmt: skip
    assert found.allocated[-1] == 19 * MIB  # the rest of an expandable segment is always split off
    assert found.reserved[1:] == (40 * MIB,) * 4 + (20 * MIB,) * 2


def test_a_block_counts_until_its_free_is_asked_for_and_its_room_until_it_is_completed() -> None:
    found = history(
        ("segment_alloc", 0, 2 * MIB),
        ("alloc", 0, 512),
        ("free_requested", 0, 512),
        ("alloc", 512, 512),
        left=((512, 512),),
    )
    assert found.allocated == (0, 512, 0, 512)


def test_a_history_that_begins_later_is_no_exact_one() -> None:
    found = history(*freed(0, 700), ("alloc", 4096, 700), left=((4096, 1024), (8192, 512)))
    assert not found.exact
    assert found.allocated == (512, 512, 1536)
    assert [allocation.born for allocation in found.allocations] == [-1, -1, 2]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([("segment_alloc", 0, 2 * MIB), ("alloc", 0, 512), ("alloc", 0, 512)], "no free block"),
        ([*freed(4096, 512), ("alloc", 0, 512), ("alloc", 0, 512)], "is in use"),
        ([("alloc", 0, 512), *freed(0, 512), *freed(0, 512)], "not in use"),
        ([("segment_alloc", 0, 2 * MIB), ("alloc", 0, 512)], "does not end as it did"),
    ],
)
def test_a_history_that_contradicts_itself_is_refused(events: list[tuple[str, int, int]], message: str) -> None:
    with pytest.raises(MembenchError, match=message):
        history(*events)


@pytest.mark.parametrize(
    ("divisions", "asked", "rounded"),
    [
        (0, 1, 512), (0, 513, 1024), (4, 300, 512), (4, 5 * MIB, 5 * MIB), (4, 5 * MIB + 1, 6 * MIB),
        (4, 8 * MIB, 8 * MIB), (8, 1200, 1536), (8, 5000, 5120),
    ],
)  # fmt: skip
def test_requests_are_rounded_as_the_settings_say(divisions: int, asked: int, rounded: int) -> None:
    settings = {"roundup_power2_divisions": {str(1 << power): divisions for power in range(16)}}
    assert Rounding(settings)(asked) == rounded
