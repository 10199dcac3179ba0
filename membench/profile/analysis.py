"""Find the peak of a recorded history, and say who holds it."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from membench.errors import MembenchError
from membench.probe.recording import Category, Recording
from membench.profile.attribution import Attribution
from membench.profile.records import CATEGORIES, Block, Held, Holder, Kind, Peak, Profile, Refused, SegmentMap
from membench.profile.replay import Allocation, Stretch, replay
from membench.snapshot import Snapshot

LARGEST = 10


class Analysis:
    """A snapshot, replayed and attributed. ``profile`` is what came out, the rest is what pictures are drawn from."""

    def __init__(self, snapshot: Snapshot, device: int | None = None) -> None:
        """Raises `MembenchError` where the snapshot has no events, or what is replayed is not what was measured."""
        self.recording = _recording(snapshot)
        self.history = replay(snapshot, device)
        if not any(self.history.allocated):
            raise MembenchError("the snapshot's events allocate nothing: there is no peak to explain")
        self.attribution = Attribution(self.history, self.recording)
        self.peak_event = self._find_peak()
        self.profile = self._profile()

    @property
    def step(self) -> range:
        """The events of the step that has the peak, to its last operation's; all, where steps are not known."""
        if self.recording is None:
            return range(len(self.history.events))
        steps, wanted = self.attribution.steps, self.attribution.steps[self.peak_event]
        measured = [index for index in range(self._first(), len(steps)) if steps[index] == wanted]
        last = max((index for index in measured if self.attribution.of_operation(index)), default=measured[-1])
        return range(measured[0], max(last, self.peak_event) + 1)

    def held(self, event: int) -> list[Held]:
        """All that is in use right after an event."""
        return [self.attribution.held(allocation) for allocation in self.history.alive(event)]

    def _find_peak(self) -> int:
        """The first event of the last step that reaches the peak.

        Raises:
            MembenchError: it is not the peak that the allocator counted.
        """
        allocated, first = self.history.allocated, self._first()
        most = max(allocated[first:])
        counted = self.recording.measurement.peak_allocated_bytes if self.recording else most
        if most != counted:
            raise MembenchError(f"the replayed peak is {most} bytes, and the allocator counted {counted}")
        steps = self.attribution.steps
        reached = [index for index in range(first, len(allocated)) if allocated[index] == most]
        return next(index for index in reached if steps[index] == steps[reached[-1]])

    def _first(self) -> int:
        """The event from which on peaks were counted: the last allocation before, whose memory is there."""
        if self.recording is None or not self.recording.measured_from:
            return 0
        numbered = self.history.allocations[: self.recording.measured_from]
        return max(numbered[-1].born, 0) if numbered else 0

    def _profile(self) -> Profile:
        return Profile(
            measurement=self.recording.measurement if self.recording else None,
            peak=self._peak(),
            phases=self._phases(),
            refused=self._refused(),
            exact=self.history.exact,
            notes=tuple(self._notes()),
        )

    def _peak(self) -> Peak:
        at, history = self.attribution.moment(self.peak_event), self.history
        alive = history.alive(self.peak_event)
        held = [self.attribution.held(allocation) for allocation in alive]
        return Peak(
            allocated_bytes=history.allocated[self.peak_event],
            reserved_bytes=history.reserved[self.peak_event],
            requested_bytes=sum(each.requested_bytes for each in held),
            phase=at.phase,
            module=at.module,
            at=at,
            categories=_categories(held),
            kinds=_kinds(held),
            modules=_modules(held),
            holders=_holders(held),
            largest=tuple(sorted(held, key=lambda each: -each.bytes)[:LARGEST]),
            segments=tuple(_segments(history.mapped(self.peak_event), alive, held)),
        )

    def _phases(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for index in self.step:
            phase = self.attribution.phase(index)
            if phase:
                found[phase] = max(found.get(phase, 0), self.history.allocated[index])
        return found

    def _refused(self) -> Refused | None:
        if self.recording is None or self.recording.measurement.status != "oom":
            return None
        index = max((i for i, event in enumerate(self.history.events) if event.action == "oom"), default=None)
        if index is None:
            return None
        return Refused(
            asked_bytes=self.history.events[index].size,
            allocated_bytes=self.history.allocated[index],
            reserved_bytes=self.history.reserved[index],
            at=self.attribution.moment(index),
        )

    def _notes(self) -> Iterable[str]:
        if not self.history.exact:
            yield (
                "The history does not begin with the allocator's first segment: what was there before it is known by "
                "its size alone, and blocks are taken to be as large as their request, rounded up to 512 bytes."
            )
        if self.recording is None:
            yield (
                "The snapshot was not recorded by membench: categories, modules and shapes are told only as far as "
                "stack frames tell them."
            )


def _recording(snapshot: Snapshot) -> Recording | None:
    """What membench added to the snapshot, if it recorded it.

    Raises:
        MembenchError: it was added by something else.
    """
    if not snapshot.membench:
        return None
    try:
        return msgspec.json.decode(snapshot.membench, type=Recording)
    except msgspec.DecodeError as error:
        raise MembenchError(f"what membench adds to a snapshot is damaged: {error}") from None


def _categories(held: Sequence[Held]) -> dict[str, int]:
    return {name: sum(each.bytes for each in held if each.category == name) for name in CATEGORIES}


def _kinds(held: Sequence[Held]) -> tuple[Kind, ...]:
    sizes, counts = _grouped((each.category, each.what, each.bytes) for each in held)
    found = [Kind(category=c, what=w, bytes=size, count=counts[c, w]) for (c, w), size in sizes.items()]  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda kind: (CATEGORIES.index(kind.category), -kind.bytes)))


def _modules(held: Sequence[Held]) -> dict[str, int]:
    sizes, _ = _grouped((each.module, each.bytes) for each in held)
    return {module: size for (module,), size in sizes.most_common()}


def _holders(held: Sequence[Held]) -> tuple[Holder, ...]:
    sizes, counts = _grouped((each.category, each.module, each.line, each.bytes) for each in held)
    return tuple(
        Holder(category=key[0], module=key[1], line=key[2], bytes=size, count=counts[key])  # type: ignore[arg-type]
        for key, size in sizes.most_common()
    )


def _grouped(rows: Iterable[tuple[str | int, ...]]) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Sums and counts of the last column, by the others."""
    sizes: Counter[tuple[str, ...]] = Counter()
    counts: Counter[tuple[str, ...]] = Counter()
    for *key, size in rows:
        sizes[tuple(map(str, key))] += int(size)
        counts[tuple(map(str, key))] += 1
    return sizes, counts


def _segments(stretches: Sequence[Stretch], alive: Sequence[Allocation], held: Sequence[Held]) -> Iterable[SegmentMap]:
    """All in order of address."""
    blocks = list(zip(alive, held, strict=True))
    for stretch in stretches:
        end = stretch.address + stretch.size
        # A block of an expandable segment may go on in the next mapped piece.
        inside = [
            (max(a.address, stretch.address), min(a.address + a.size, end), each.category)
            for a, each in blocks
            if a.address < end and stretch.address < a.address + a.size
        ]
        yield SegmentMap(
            address=stretch.address,
            bytes=stretch.size,
            allocated_bytes=sum(stop - start for start, stop, _ in inside),
            blocks=tuple(_pieces(stretch, inside)),
        )


def _pieces(stretch: Stretch, inside: Sequence[tuple[int, int, Category]]) -> Iterable[Block]:
    """The segment without gaps; neighbours of one category as one."""
    at, parts = stretch.address, list[tuple[int, int, Category | None]]()
    for start, stop, category in inside:
        parts += [(at, start, None), (start, stop, category)]
        at = stop
    parts.append((at, stretch.address + stretch.size, None))
    some = (part for part in parts if part[1] > part[0])
    for category, group in itertools.groupby(some, key=lambda part: part[2]):
        run = list(group)
        yield Block(run[0][0] - stretch.address, run[-1][1] - run[0][0], category)
