"""Snapshots that are well formed and make no sense: one clear error, or a profile, and nothing else."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membench.errors import MembenchError
from membench.profile import Analysis
from membench.profile.exports import chrome_trace, timeline_csv
from membench.profile.timeline import timeline
from membench.snapshot import Block, Event, Segment, Snapshot

ACTIONS = ["alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "segment_map", "segment_unmap"]
SIZES = st.sampled_from([-512, 0, 1, 512, 1024, 2**21, 20 * 2**20, 2**70])
EVENTS = st.builds(
    Event,
    action=st.sampled_from([*ACTIONS, "oom", "snapshot", "of a later release"]),
    addr=st.sampled_from([-1, 0, 512, 1024, 2**21, 2**70]),
    size=SIZES,
    user_metadata=st.sampled_from(["", "backward net aten.add #3", "#", "# #9999999999999999", "loss"]),
)
BLOCKS = st.builds(Block, size=SIZES, address=st.sampled_from([0, 512, 2**21]), state=st.just("active_allocated"))
SEGMENTS = st.builds(Segment, total_size=SIZES, address=st.sampled_from([0, 2**21]), blocks=st.tuples(BLOCKS))


def look(snapshot: Snapshot) -> None:
    analysis = Analysis(snapshot)
    ticks = list(timeline(analysis))
    chrome_trace(analysis, ticks)
    timeline_csv(ticks)


@settings(max_examples=300, deadline=None)
@given(events=st.lists(EVENTS, max_size=12), segments=st.lists(SEGMENTS, max_size=2))
def test_histories_that_make_no_sense(events: list[Event], segments: list[Segment]) -> None:
    with contextlib.suppress(MembenchError):
        look(Snapshot(segments=tuple(segments), device_traces=(tuple(events),)))


@pytest.mark.parametrize("added", ["nothing", "[]", "{}", json.dumps({"ops": {"x": 1}})])
def test_what_is_added_by_something_else_is_refused(added: str) -> None:
    events = (Event(action="segment_alloc", addr=0, size=2**21), Event(action="alloc", addr=0, size=512))
    block = Block(size=512, address=0, state="active_allocated")
    snapshot = Snapshot(segments=(Segment(total_size=2**21, blocks=(block,)),), device_traces=(events,))
    look(snapshot)
    with pytest.raises(MembenchError, match="damaged"):
        look(msgspec.structs.replace(snapshot, membench=added))


def test_a_history_without_allocations_has_no_peak() -> None:
    made: dict[str, Any] = {"segments": (), "device_traces": ((Event(action="snapshot"),),)}
    with pytest.raises(MembenchError, match="no peak"):
        look(Snapshot(**made))
