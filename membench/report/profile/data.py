"""What the page's timeline is drawn from, small enough to be sent by mail."""

from collections.abc import Iterable, Sequence
from typing import Any

from membench.profile import Analysis
from membench.profile.records import CATEGORIES
from membench.profile.replay import Allocation
from membench.profile.timeline import Tick
from membench.units import GIB, KIB, MIB

_DRAWN = 1600
_BLOCKS = 4_500
_STACK = 16


class _Texts:
    """Each text once; others refer to it by its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def all(self) -> list[str]:
        return list(self._numbers)


def timeline_data(analysis: Analysis, ticks: Sequence[Tick]) -> dict[str, Any]:
    """The thinned ticks, the blocks of the step with their stacks, and where training stood. Sizes are in bytes."""
    texts, stacks = _Texts(), _Texts()
    drawn = thinned(ticks, analysis.peak_event)
    blocks = _blocks(analysis, ticks)
    kept = sorted(sorted(blocks, key=lambda block: -block.size)[:_BLOCKS], key=lambda block: block.born)
    rows = [_block(analysis, block, texts, stacks) for block in kept]
    unit, size = unit_of(max(tick.reserved for tick in ticks))
    return {
        "unit": {"name": unit, "bytes": size},
        "categories": CATEGORIES,
        "events": [tick.index for tick in drawn],
        "held": [[tick.categories[n] for tick in drawn] for n in range(len(CATEGORIES))],
        "reserved": [tick.reserved for tick in drawn],
        "phases": phases(ticks),
        "moments": _moments(analysis, ticks, texts),
        "peak": analysis.peak_event,
        "left_out": len(blocks) - len(kept),
        "blocks": rows,
        "stacks": [stack.split("\n") if stack else [] for stack in stacks.all],
        "texts": texts.all,
    }


def thinned(ticks: Sequence[Tick], peak: int, most: int = _DRAWN) -> list[Tick]:
    """Few enough ticks to draw: of neighbours, the highest and the lowest. The peak, the first and the last stay."""
    if len(ticks) <= most:
        return list(ticks)
    width = -(-2 * len(ticks) // most)
    kept = {0, len(ticks) - 1}
    for start in range(0, len(ticks), width):
        near = range(start, min(start + width, len(ticks)))
        kept |= {max(near, key=lambda n: ticks[n].allocated), min(near, key=lambda n: ticks[n].allocated)}
    kept |= {n for n, tick in enumerate(ticks) if tick.index == peak}
    return [ticks[n] for n in sorted(kept)]


def phases(ticks: Iterable[Tick]) -> list[tuple[str, int, int]]:
    """Runs of one phase: its name, its first and its last event. Lone events of another phase do not break a run."""
    found: list[tuple[str, int, int]] = []
    for tick in ticks:
        if tick.phase is None:
            continue
        if found and found[-1][0] == tick.phase:
            found[-1] = (tick.phase, found[-1][1], tick.index)
        else:
            found.append((tick.phase, tick.index, tick.index))
    return found


def unit_of(largest: int) -> tuple[str, int]:
    """The binary unit to draw so many bytes in."""
    return next(((name, size) for name, size in (("GiB", GIB), ("MiB", MIB)) if largest >= size), ("KiB", KIB))


def _blocks(analysis: Analysis, ticks: Sequence[Tick]) -> list[Allocation]:
    first, last = ticks[0].index, ticks[-1].index
    return [a for a in analysis.history.allocations if a.born <= last and (a.freed is None or a.freed > first)]


def _block(analysis: Analysis, block: Allocation, texts: _Texts, stacks: _Texts) -> list[int]:
    """Born, freed (-1: not), bytes, category; the texts what, tensor, module, operation and line; the stack."""
    held = analysis.attribution.held(block)
    shape = "" if held.shape is None else f"{'×'.join(map(str, held.shape)) or 'scalar'} {held.dtype}"
    words = (held.what, f"{held.name} {shape}".strip(), held.module, held.op, held.line)
    freed = -1 if block.freed is None else block.freed
    stack = stacks("\n".join(held.stack[:_STACK]))
    return [block.born, freed, block.size, CATEGORIES.index(held.category), *map(texts, words), stack]


def _moments(analysis: Analysis, ticks: Sequence[Tick], texts: _Texts) -> list[list[int]]:
    """From which event on training stood where: the event, and the numbers of phase, module and operation."""
    found: list[list[int]] = []
    for tick in ticks:
        at = analysis.attribution.moment(tick.index)
        where = [texts(at.phase or ""), texts(at.module), texts(at.op)]
        if not found or found[-1][1:] != where:
            found.append([tick.index, *where])
    return found
