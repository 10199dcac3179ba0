"""Histories side by side: what is counted as identical, the first difference, and peaks followed backwards."""

import difflib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membench.errors import MembenchError
from membench.snapshot import Block, Event, Frame, Segment, Snapshot, Stack
from membench.validate.histories import Peaks, common_subsequence, compare

LINE = Stack((Frame(filename="/home/me/train.py", line=3, name="step"),))


def recorded(*steps: tuple[str, int], held: int = 0, allocated: int = 0) -> Snapshot:
    """A snapshot with these events, which ends with ``held`` bytes of segments and ``allocated`` in blocks."""
    blocks = (Block(size=allocated, requested_size=allocated, state="active_allocated"),) if allocated else ()
    events = tuple(Event(action=action, size=size, frames=LINE) for action, size in steps)
    return Snapshot(segments=(Segment(total_size=held, blocks=blocks),), device_traces=((), events))


STEP = (("alloc", 100), ("segment_alloc", 2048), ("alloc", 300), ("free_requested", 100), ("free_completed", 100))


def test_equal_histories_agree() -> None:
    found = compare(recorded(*STEP, held=4096, allocated=350), recorded(*STEP, held=4096, allocated=350))
    assert (found.recorded_events, found.emulated_events, found.identical, found.share) == (4, 4, 4, 1.0)
    assert found.first_difference is None
    assert found.recorded_peaks == found.emulated_peaks == Peaks(requested_bytes=450, reserved_bytes=4096)


def test_the_first_difference_is_told_with_its_lines() -> None:
    found = compare(recorded(*STEP), recorded(STEP[0], ("alloc", 64), *STEP[1:]))
    assert found.first_difference is not None
    assert (found.first_difference.position, found.first_difference.recorded) == (2, "segment_alloc 2048")
    assert found.first_difference.emulated == "alloc 64"
    assert found.first_difference.recorded_line == "/home/me/train.py:3 (step)"
    assert (found.identical, found.share) == (4, 0.8)


def test_a_history_that_ends_early_differs_there() -> None:
    found = compare(recorded(*STEP), recorded(*STEP[:2]))
    assert found.first_difference is not None
    assert (found.first_difference.position, found.first_difference.emulated) == (3, None)
    assert found.first_difference.emulated_line == ""
    assert found.share == 0.5


def test_what_was_freed_during_the_recording_counts_in_the_peak() -> None:
    steps = (("free_requested", 500), ("segment_free", 8192), ("segment_map", 2048), ("alloc", 100))
    peaks = compare(recorded(*steps, held=4096, allocated=100), recorded(*STEP)).recorded_peaks
    assert peaks == Peaks(requested_bytes=500, reserved_bytes=2048 + 8192)


def test_a_recording_without_events_is_an_error() -> None:
    with pytest.raises(MembenchError, match="the snapshot has no events"):
        compare(recorded(), recorded(*STEP))


steps = st.lists(st.tuples(st.sampled_from(["alloc", "free_requested"]), st.integers(1, 3)), max_size=40)


@given(steps, steps)
def test_the_longest_common_subsequence_is_that_of_the_textbook(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> None:
    row = [0] * (len(right) + 1)
    for step in left:
        last = row[:]
        for at, other in enumerate(right, 1):
            row[at] = last[at - 1] + 1 if step == other else max(last[at], row[at - 1])
    assert common_subsequence(left, right) == row[-1]
    matched = difflib.SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    assert common_subsequence(left, right) >= sum(block.size for block in matched)


def test_long_histories_are_compared_quickly() -> None:
    left = [("alloc", number % 97) for number in range(20_000)]
    started = time.process_time()
    assert common_subsequence(left, left[1:] + left[:1]) == len(left) - 1
    assert time.process_time() - started < 5.0
