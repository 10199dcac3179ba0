"""Two histories of the allocator side by side: the same step, recorded on a real GPU and on the emulated device.

The events that are compared are those in which the two could differ: allocations and frees with the bytes that were
asked for, and segments taken from and given back to the device. Left out is the completion of a free, which follows its
request at once unless another stream still uses the block, and markers that no memory belongs to. Addresses, times
and stacks differ between any two runs, and are not compared.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from membench.snapshot import Event, Snapshot

COMPARED = frozenset(
    {"alloc", "free_requested", "segment_alloc", "segment_free", "segment_map", "segment_unmap", "oom"}
)
_RESERVED = {"segment_alloc": 1, "segment_map": 1, "segment_free": -1, "segment_unmap": -1}
_REQUESTED = {"alloc": 1, "free_requested": -1}

Step = tuple[str, int]


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """The largest values during a recording, in bytes: what was asked for, and what the allocator held."""

    requested_bytes: int
    reserved_bytes: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first event that differs. ``position`` counts compared events from 1; an event is None past the end.

    ``line`` is the code behind the event, as far as the recording tells.
    """

    position: int
    recorded: str | None
    emulated: str | None
    recorded_line: str
    emulated_line: str


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far two histories agree. ``identical`` is the length of the longest common subsequence of their events."""

    recorded_events: int
    emulated_events: int
    identical: int
    first_difference: Difference | None
    recorded_peaks: Peaks
    emulated_peaks: Peaks

    @property
    def share(self) -> float:
        """Identical events over those of the longer history."""
        longest = max(self.recorded_events, self.emulated_events)
        return self.identical / longest if longest else 1.0


def compare(recorded: Snapshot, emulated: Snapshot, *, device: int | None = None) -> Agreement:
    """Compare what was recorded on a GPU (its ``device``, where several have events) with the emulated device's.

    Raises:
        MembenchError: one of the two has no events, or those of several devices and none was chosen.
    """
    theirs, ours = recorded.trace(device), emulated.trace()
    left, right = list(_compared(theirs)), list(_compared(ours))
    steps = [_step(event) for event in left], [_step(event) for event in right]
    return Agreement(
        recorded_events=len(left),
        emulated_events=len(right),
        identical=common_subsequence(*steps),
        first_difference=_first_difference(left, right),
        recorded_peaks=peaks(recorded, theirs, device=device),
        emulated_peaks=peaks(emulated, ours),
    )


def peaks(snapshot: Snapshot, events: Sequence[Event], *, device: int | None = None) -> Peaks:
    """The peaks during the recording, from its events and the segments at its end, followed backwards."""
    held = [segment for segment in snapshot.segments if device is None or segment.device == device]
    blocks = [block for segment in held for block in segment.blocks if block.is_allocated]
    return Peaks(
        requested_bytes=_peak(sum(block.requested_size or block.size for block in blocks), events, _REQUESTED),
        reserved_bytes=_peak(sum(segment.total_size for segment in held), events, _RESERVED),
    )


def common_subsequence(left: Sequence[Step], right: Sequence[Step]) -> int:
    """The length of the longest common subsequence.

    Bit-parallel, after Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): a row of the dynamic programme
    is one integer, so that histories of some ten thousand events take well under a second.
    """
    places: dict[Step, int] = defaultdict(int)
    for place, step in enumerate(left):
        places[step] |= 1 << place
    everything = (1 << len(left)) - 1
    row = everything
    for step in right:
        matches = row & places.get(step, 0)
        row = ((row + matches) | (row - matches)) & everything
    return len(left) - row.bit_count()


def _compared(events: Sequence[Event]) -> Iterator[Event]:
    return (event for event in events if event.action in COMPARED)


def _step(event: Event) -> Step:
    return event.action, event.size


def _peak(at_the_end: int, events: Sequence[Event], signs: dict[str, int]) -> int:
    now = largest = at_the_end
    for event in reversed(events):
        now -= signs.get(event.action, 0) * event.size
        largest = max(largest, now)
    return largest


def _first_difference(left: Sequence[Event], right: Sequence[Event]) -> Difference | None:
    same = next((place for place, pair in enumerate(zip(left, right, strict=False)) if _differ(*pair)), None)
    if same is None:
        if len(left) == len(right):
            return None
        same = min(len(left), len(right))
    theirs, ours = _at(left, same), _at(right, same)
    return Difference(
        position=same + 1,
        recorded=_words(theirs),
        emulated=_words(ours),
        recorded_line=_line(theirs),
        emulated_line=_line(ours),
    )


def _differ(left: Event, right: Event) -> bool:
    return _step(left) != _step(right)


def _at(events: Sequence[Event], place: int) -> Event | None:
    return events[place] if place < len(events) else None


def _words(event: Event | None) -> str | None:
    return f"{event.action} {event.size}" if event else None


def _line(event: Event | None) -> str:
    cause = event.frames.cause if event else None
    return str(cause) if cause else ""
