"""The blocks of PyTorch's caching allocator: how large they are made, split and merged.

The rules are those of ``c10/cuda/CUDACachingAllocator.cpp``, PyTorch 2.11 to 2.14: a request is rounded up, and a block
is handed out whole where the rest of it would be too little to be of use.
"""

import bisect
from typing import Any

from membench.errors import MembenchError

_LEAST_BLOCK = 512
_SMALL = 1 << 20  # what is left of a block of the large pool is split off only if it is more than this
_SMALL_SEGMENT = 2 << 20


def contradiction(what: str) -> MembenchError:
    return MembenchError(f"the allocator's history cannot be replayed: {what}")


class Rounding:
    """How many bytes the allocator makes of a request, under its settings."""

    def __init__(self, settings: dict[str, Any]) -> None:
        divisions = settings.get("roundup_power2_divisions") or {}
        self._divisions = {int(start): int(count) for start, count in divisions.items() if str(start).isdecimal()}

    def __call__(self, size: int) -> int:
        if size < _LEAST_BLOCK:
            return _LEAST_BLOCK
        count = self._divisions.get(min(max(1, 1 << max(size >> 20, 1).bit_length() - 1), 32768), 0)
        if count > 1 and size > _LEAST_BLOCK * count:
            power = 1 << size.bit_length() - 1
            part = power // count
            return size if size == power else -(-size // part) * part
        return -(-size // _LEAST_BLOCK) * _LEAST_BLOCK


class FreeBlocks:
    """The blocks that are not in use. Neighbours within a segment are always one block.

    Every method raises `MembenchError` if what it is told contradicts what it was told before.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        limit = int(settings.get("max_split_size", -1))
        self._split_limit = limit if limit > 0 else None
        self._sizes: dict[int, int] = {}
        self._starts_by_end: dict[int, int] = {}
        self._segments: dict[int, int] = {}
        self._segment_starts: list[int] = []

    def hold(self, address: int, size: int, *, expandable: bool) -> None:
        if not expandable:
            self._segments[address] = size
            bisect.insort(self._segment_starts, address)
        self.put(address, size)

    def put(self, address: int, size: int) -> None:
        end = address + size
        if end in self._sizes and end not in self._segments:
            size += self._remove(end)
        before = self._starts_by_end.get(address)
        if before is not None and address not in self._segments:
            size += self._remove(before)
            address = before
        self._add(address, size)

    def take(self, address: int, rounded: int) -> int:
        """Hand out the block at an address for so many bytes; how large it is."""
        if address not in self._sizes or self._sizes[address] < rounded:
            raise contradiction(f"no free block at {address:#x} holds {rounded} bytes")
        size = self._remove(address)
        rest = size - rounded
        if not self._is_split(address, size, rest):
            return size
        if rest:
            self._add(address + rounded, rest)
        return rounded

    def give_back(self, address: int, size: int) -> None:
        if self._segments.pop(address, None) is not None:
            self._segment_starts.remove(address)
            self._remove(address)
            return
        within = (start for start, length in self._sizes.items() if start <= address < start + length)
        inside = next(within, None)
        if inside is None:
            raise contradiction(f"what is unmapped at {address:#x} is in use")
        end = inside + self._remove(inside)
        for start, stop in ((inside, address), (address + size, end)):
            if stop > start:
                self._add(start, stop - start)

    def _is_split(self, address: int, size: int, rest: int) -> bool:
        segment = self._segment_of(address)
        if segment is None or segment == _SMALL_SEGMENT:  # expandable, or of the small pool
            return rest >= _LEAST_BLOCK
        return rest > _SMALL and (self._split_limit is None or size < self._split_limit)

    def _segment_of(self, address: int) -> int | None:
        """The size of the segment that holds an address; None where it is expandable."""
        at = bisect.bisect_right(self._segment_starts, address) - 1
        if at < 0:
            return None
        start = self._segment_starts[at]
        return self._segments[start] if address < start + self._segments[start] else None

    def _add(self, address: int, size: int) -> None:
        self._sizes[address] = size
        self._starts_by_end[address + size] = address

    def _remove(self, address: int) -> int:
        size = self._sizes.pop(address, None)
        if size is None:
            raise contradiction(f"no free block at {address:#x}")
        del self._starts_by_end[address + size]
        return size
