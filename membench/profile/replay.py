"""Replay an allocator's history: which blocks there were, how large, from when to when.

An event of PyTorch's trace tells the bytes that were asked for; what counts as allocated is the block that was handed
out. So the free blocks are followed by the allocator's own rules (`membench.profile.blocks`). Where the history does
not begin with the first segment, blocks are taken to be as large as their rounded request.
"""

from collections.abc import Sequence

import msgspec

from membench.errors import MembenchError
from membench.profile.blocks import FreeBlocks, Rounding, contradiction
from membench.snapshot import Event, Snapshot, Stack, live_blocks


class Allocation(msgspec.Struct, kw_only=True):
    """A block in use from the event ``born`` (-1: before the history began) until ``freed`` (None: to its end).

    ``size`` is the block's, in bytes, ``requested`` what was asked for, ``frames`` the calls that asked for it.
    ``number`` counts allocations from 0.
    """

    number: int
    address: int
    size: int
    requested: int
    born: int
    freed: int | None = None
    frames: Stack = msgspec.field(default_factory=Stack)


class Stretch(msgspec.Struct, kw_only=True):
    """Memory that the allocator held from the device, from one event until another (None: to the end)."""

    address: int
    size: int
    mapped: int
    unmapped: int | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """``allocated`` and ``reserved`` are the bytes after each event. ``exact``: the history is whole, so are they."""

    events: tuple[Event, ...]
    allocations: tuple[Allocation, ...]
    stretches: tuple[Stretch, ...]
    allocated: tuple[int, ...]
    reserved: tuple[int, ...]
    exact: bool

    def alive(self, event: int) -> list[Allocation]:
        """The blocks in use right after an event, in order of address."""
        found = (a for a in self.allocations if a.born <= event and (a.freed is None or a.freed > event))
        return sorted(found, key=lambda allocation: allocation.address)

    def mapped(self, event: int) -> list[Stretch]:
        """What was held from the device right after an event, in order of address."""
        found = (s for s in self.stretches if s.mapped <= event and (s.unmapped is None or s.unmapped > event))
        return sorted(found, key=lambda stretch: stretch.address)


def replay(snapshot: Snapshot, device: int | None = None) -> History:
    """The history of a device; of the only one that has any, if none is given.

    Raises:
        MembenchError: there are no events, they contradict each other, or they do not end as the snapshot does.
    """
    events = snapshot.trace(device)
    number = snapshot.device_traces.index(events)
    snapshot = msgspec.structs.replace(snapshot, segments=tuple(s for s in snapshot.segments if s.device == number))
    run = _Replay(events, snapshot)
    for index, event in enumerate(events):
        run.take(index, event)
    if run.exact:
        _compare(run, snapshot)
    return History(
        events=events,
        allocations=tuple(run.allocations),
        stretches=tuple(run.stretches),
        allocated=tuple(run.allocated),
        reserved=tuple(run.reserved),
        exact=run.exact,
    )


class _Replay:
    def __init__(self, events: Sequence[Event], snapshot: Snapshot) -> None:
        self.allocations: list[Allocation] = []
        self.stretches: list[Stretch] = []
        self.allocated: list[int] = []
        self.reserved: list[int] = []
        self._rounding = Rounding(snapshot.allocator_settings)
        self._free = FreeBlocks(snapshot.allocator_settings)
        self._in_use: dict[int, Allocation] = {}
        self._awaiting: dict[int, int] = {}
        self._held: dict[int, Stretch] = {}
        self._allocated_now = self._reserved_now = 0
        self.exact = not self._begin(events, snapshot)

    def _begin(self, events: Sequence[Event], snapshot: Snapshot) -> bool:
        """Put in place what was there before the first event: what is freed or left without having been made."""
        made: set[int] = set()
        mapped: set[int] = set()
        for event in events:
            if event.action == "alloc":
                made.add(event.addr)
            elif event.action == "free_requested" and event.addr not in made:
                self._use(event.addr, self._rounding(event.size), event.size, -1, Stack())
                made.add(event.addr)
            elif event.action in ("segment_alloc", "segment_map"):
                mapped.add(event.addr)
            elif event.action in ("segment_free", "segment_unmap") and event.addr not in mapped:
                self._hold(event.addr, event.size, -1)
        for block in live_blocks(snapshot):
            if block.address not in made:
                self._use(block.address, block.size, block.requested_size, -1, block.frames)
        known = {*mapped, *self._held}
        for segment in snapshot.segments:
            if segment.address not in known:
                self._hold(segment.address, segment.total_size, -1)
        return bool(self.allocations or self.stretches)

    def take(self, index: int, event: Event) -> None:
        if event.action == "alloc":
            self._use(event.addr, self._block_size(event), event.size, index, event.frames)
        elif event.action == "free_requested":
            self._let_go(index, event.addr)
        elif event.action == "free_completed" and self.exact:
            self._free.put(event.addr, self._awaiting.pop(event.addr, 0))
        elif event.action in ("segment_alloc", "segment_map"):
            self._hold(event.addr, event.size, index)
            if self.exact:
                self._free.hold(event.addr, event.size, expandable=event.action == "segment_map")
        elif event.action in ("segment_free", "segment_unmap"):
            self._give_back(index, event)
        self.allocated.append(self._allocated_now)
        self.reserved.append(self._reserved_now)

    def _block_size(self, event: Event) -> int:
        rounded = self._rounding(event.size)
        return self._free.take(event.addr, rounded) if self.exact else rounded

    def _use(self, address: int, size: int, requested: int, index: int, frames: Stack) -> None:
        if address in self._in_use:
            raise contradiction(f"what is allocated at {address:#x} is in use")
        number = len(self.allocations)
        made = Allocation(number=number, address=address, size=size, requested=requested, born=index, frames=frames)
        self.allocations.append(made)
        self._in_use[address] = made
        self._allocated_now += size

    def _let_go(self, index: int, address: int) -> None:
        ended = self._in_use.pop(address, None)
        if ended is None:
            raise contradiction(f"what is freed at {address:#x} is not in use")
        ended.freed = index
        self._allocated_now -= ended.size
        self._awaiting[address] = ended.size

    def _hold(self, address: int, size: int, index: int) -> None:
        self._held[address] = stretch = Stretch(address=address, size=size, mapped=index)
        self.stretches.append(stretch)
        self._reserved_now += size

    def _give_back(self, index: int, event: Event) -> None:
        """A segment is freed whole; of expandable ones what is unmapped may span several mapped pieces, or parts."""
        end = event.addr + event.size
        for stretch in [s for s in self._held.values() if s.address < end and event.addr < s.address + s.size]:
            del self._held[stretch.address]
            stretch.unmapped = index
            self._reserved_now -= stretch.size
            if stretch.address < event.addr:
                self._hold(stretch.address, event.addr - stretch.address, index)
            if stretch.address + stretch.size > end:
                self._hold(end, stretch.address + stretch.size - end, index)
        if self.exact:
            self._free.give_back(event.addr, event.size)


def _compare(run: _Replay, snapshot: Snapshot) -> None:
    """The replayed end must be the snapshot's, block by block."""
    ours = {address: allocation.size for address, allocation in run._in_use.items()}
    theirs = {block.address: block.size for block in live_blocks(snapshot)}
    if ours != theirs:
        wrong = len(ours.items() ^ theirs.items())
        raise MembenchError(f"the allocator's history, replayed, does not end as it did: {wrong} blocks differ")
