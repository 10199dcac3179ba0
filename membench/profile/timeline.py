"""The timeline of the peak's step: what each category holds after every event."""

from collections.abc import Iterator

import msgspec

from membench.probe.recording import Phase
from membench.profile.analysis import Analysis
from membench.profile.records import CATEGORIES, Held
from membench.snapshot import Event


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """After one event: the bytes that each category holds (in the order of `CATEGORIES`), in all, and reserved.

    ``held`` is the block that the event made or freed, if it did either. ``time_us`` is in microseconds from the
    step's first event; on an emulated device it is the time of the host, where nothing is computed.
    """

    index: int
    event: Event
    time_us: int
    step: int
    phase: Phase | None
    categories: tuple[int, ...]
    allocated: int
    reserved: int
    held: Held | None


def timeline(analysis: Analysis) -> Iterator[Tick]:
    """The ticks of the step that has the peak, in order."""
    history, attribution, span = analysis.history, analysis.attribution, analysis.step
    totals = dict.fromkeys(CATEGORIES, 0)
    changes: dict[int, tuple[int, Held]] = {}
    for allocation in history.allocations:
        held = attribution.held(allocation)
        if allocation.born < span.start and (allocation.freed is None or allocation.freed >= span.start):
            totals[held.category] += allocation.size
        changes[allocation.born] = (allocation.size, held)
        if allocation.freed is not None:
            changes[allocation.freed] = (-allocation.size, held)
    start = history.events[span.start].time_us
    for index in span:
        size, held_by = changes.get(index, (0, None))
        if held_by:
            totals[held_by.category] += size
        event = history.events[index]
        yield Tick(
            index=index,
            event=event,
            time_us=event.time_us - start,
            step=attribution.steps[index],
            phase=attribution.phase(index),
            categories=tuple(totals.values()),
            allocated=history.allocated[index],
            reserved=history.reserved[index],
            held=held_by,
        )
