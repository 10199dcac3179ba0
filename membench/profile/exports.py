"""A profile in forms that other tools read: Chrome's trace format, which Perfetto opens too, and CSV."""

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from membench.profile.analysis import Analysis
from membench.profile.records import CATEGORIES
from membench.profile.timeline import Tick

_TRACKS = ("Phase", "Module", "Operation")
_PROCESS = 1


def timeline_csv(ticks: Iterable[Tick]) -> str:
    """One line for each event of the allocator in the peak's step: what happened, and what is held after it, in bytes.

    ``size_bytes`` is the block's, ``requested_bytes`` what was asked for; of segments both are the segment's.
    """
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(
        (
            *("event", "time_us", "step", "phase", "module", "operation", "action", "category", "size_bytes"),
            *("requested_bytes", "address", "allocated_bytes", "reserved_bytes"),
            *(f"{category.replace(' ', '_')}_bytes" for category in CATEGORIES),
        )
    )
    for tick in ticks:
        held, event = tick.held, tick.event
        whose = (held.module, held.op) if held else ("", "")
        what = (held.category, held.bytes, held.requested_bytes) if held else ("", event.size, event.size)
        table.writerow(
            (
                *(tick.index, tick.time_us, tick.step, tick.phase or "", *whose, event.action, *what),
                *(f"{event.addr:#x}", tick.allocated, tick.reserved, *tick.categories),
            )
        )
    return written.getvalue()


def chrome_trace(analysis: Analysis, ticks: Sequence[Tick]) -> bytes:
    """Counters of what is allocated, by category, and reserved; slices for phases, modules and operations; the peak."""
    moments = [analysis.attribution.moment(tick.index) for tick in ticks]
    events: list[dict[str, Any]] = [_named("process_name", 0, "Memory of the device")]
    names: tuple[Callable[[int], str], ...] = (
        lambda i: moments[i].phase or "",
        lambda i: moments[i].module,
        lambda i: moments[i].op,
    )
    for track, (title, name) in enumerate(zip(_TRACKS, names, strict=True), 1):
        events += [_named("thread_name", track, title), *_slices(ticks, track, name)]
    for tick in ticks:
        held = dict(zip(CATEGORIES, tick.categories, strict=True))
        events.append(_event("C", "allocated bytes by category", tick.time_us, args=held))
        events.append(_event("C", "reserved bytes", tick.time_us, args={"reserved": tick.reserved}))
    peak = next(tick for tick in ticks if tick.index == analysis.peak_event)
    events.append(_event("i", f"peak: {peak.allocated} bytes allocated", peak.time_us, s="g"))
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms"})


def _slices(ticks: Sequence[Tick], track: int, name: Callable[[int], str]) -> Iterator[dict[str, Any]]:
    """Neighbouring events of one name as one slice, until the next begins."""
    for title, group in itertools.groupby(range(len(ticks)), key=name):
        run = list(group)
        after = ticks[min(run[-1] + 1, len(ticks) - 1)].time_us
        if title:
            yield _event("X", title, ticks[run[0]].time_us, tid=track, dur=after - ticks[run[0]].time_us)


def _named(kind: str, track: int, title: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": _PROCESS, "tid": track, "args": {"name": title}}


def _event(kind: str, name: str, time_us: int, **fields: Any) -> dict[str, Any]:
    return {"ph": kind, "name": name, "ts": time_us, "pid": _PROCESS, "tid": 0, **fields}
