"""Random sequences of the device's memory calls beside a model in Python: python fuzz.py LIBRARY SEED COUNT

Run in a process of its own, since whoever opens libcuda.so.1 after it finds the emulated one. Fails at the first answer
that is not the model's.
"""

import ctypes
import random
import sys
from ctypes import byref, c_int, c_size_t, c_uint64, c_void_p
from itertools import pairwise

PAGE = 2 << 20
INVALID, OUT_OF_MEMORY = 1, 2


def pages(size: int) -> int:
    return -(-size // PAGE)


class Model:
    """What the device must hold: every allocation, reservation, piece of physical memory and mapping, in pages."""

    def __init__(self, library: str, seed: int) -> None:
        self.call = ctypes.CDLL(library)
        self.random = random.Random(seed)
        self.allocated: dict[int, int] = {}
        self.reserved: dict[int, int] = {}
        self.physical: dict[int, int] = {}
        self.released: set[int] = set()
        self.mapped: dict[int, tuple[int, int]] = {}  # address: (physical, pages)
        self.total = self.free()

    def free(self) -> int:
        free, total = c_size_t(), c_size_t()
        assert self.call.cudaMemGetInfo(byref(free), byref(total)) == 0
        return free.value // PAGE

    def expected_free(self) -> int:
        return self.total - sum(self.allocated.values()) - sum(self.physical.values())

    def check(self) -> None:
        assert self.free() == self.expected_free()
        spans = sorted([*self.allocated.items(), *self.reserved.items()])
        for (start, count), (following, _) in pairwise(spans):
            assert start + count * PAGE <= following, "allocations overlap"

    def step(self) -> None:
        self.random.choice(
            [self.allocate, self.allocate, self.release, self.reserve, self.unreserve, self.create, self.destroy,
             self.map, self.map, self.unmap, self.look_up, self.misuse]
        )()  # fmt: skip
        self.check()

    def size(self) -> int:
        return self.random.choice([1, PAGE, self.random.randrange(1, 64 * PAGE), self.random.randrange(1, 2**35)])

    def allocate(self) -> None:
        size, address = self.size(), c_void_p()
        status = self.call.cudaMalloc(byref(address), c_size_t(size))
        if pages(size) > self.expected_free():
            assert (status, address.value) == (OUT_OF_MEMORY, None)
        else:
            assert status == 0
            assert address.value is not None
            assert address.value % PAGE == 0
            self.allocated[address.value] = pages(size)

    def release(self) -> None:
        if self.allocated:
            address = self.random.choice(list(self.allocated))
            assert self.call.cudaFree(c_void_p(address)) == 0
            del self.allocated[address]

    def reserve(self) -> None:
        count, address = self.random.randrange(1, 200), c_uint64()
        arguments = (c_size_t(count * PAGE), c_size_t(0), c_uint64(0), c_uint64(0))
        assert self.call.cuMemAddressReserve(byref(address), *arguments) == 0
        self.reserved[address.value] = count

    def unreserve(self) -> None:
        if not self.reserved:
            return
        address = self.random.choice(list(self.reserved))
        count = self.reserved[address]
        assert self.call.cuMemAddressFree(c_uint64(address), c_size_t((count + 1) * PAGE)) == INVALID
        used = any(address <= start < address + count * PAGE for start in self.mapped)
        assert self.call.cuMemAddressFree(c_uint64(address), c_size_t(count * PAGE)) == (INVALID if used else 0)
        if not used:
            del self.reserved[address]

    def create(self) -> None:
        count, handle = self.random.randrange(1, 20), c_uint64()
        status = self.call.cuMemCreate(byref(handle), c_size_t(count * PAGE), None, c_uint64(0))
        if count > self.expected_free():
            assert status == OUT_OF_MEMORY
        else:
            assert status == 0
            self.physical[handle.value] = count

    def destroy(self) -> None:
        alive = [handle for handle in self.physical if handle not in self.released]
        if alive:
            handle = self.random.choice(alive)
            assert self.call.cuMemRelease(c_uint64(handle)) == 0
            self.released.add(handle)
            self.drop_unused(handle)

    def drop_unused(self, handle: int) -> None:
        if handle in self.released and all(physical != handle for physical, _ in self.mapped.values()):
            del self.physical[handle]
            self.released.remove(handle)

    def map(self) -> None:
        alive = [handle for handle in self.physical if handle not in self.released]
        if not alive or not self.reserved:
            return
        handle, start = self.random.choice(alive), self.random.choice(list(self.reserved))
        count, room = self.physical[handle], self.reserved[start]
        address = start + self.random.randrange(room) * PAGE
        wanted = range(address, address + count * PAGE, PAGE)
        taken = {at + i * PAGE for at, (_, held) in self.mapped.items() for i in range(held)}
        fits = wanted[-1] < start + room * PAGE and not taken.intersection(wanted)
        status = self.call.cuMemMap(
            c_uint64(address), c_size_t(count * PAGE), c_size_t(0), c_uint64(handle), c_uint64(0)
        )
        assert status == (0 if fits else INVALID)
        if fits:
            self.mapped[address] = (handle, count)

    def unmap(self) -> None:
        if self.mapped:
            address = self.random.choice(list(self.mapped))
            handle, count = self.mapped[address]
            if count > 1:
                assert self.call.cuMemUnmap(c_uint64(address + PAGE), c_size_t((count - 1) * PAGE)) == INVALID
            assert self.call.cuMemUnmap(c_uint64(address), c_size_t(count * PAGE)) == 0
            del self.mapped[address]
            self.drop_unused(handle)

    def look_up(self) -> None:
        if self.allocated:
            address = self.random.choice(list(self.allocated))
            size = self.allocated[address] * PAGE
            start, found = c_uint64(), c_size_t()
            inside = c_uint64(address + self.random.randrange(size))
            assert self.call.cuMemGetAddressRange_v2(byref(start), byref(found), inside) == 0
            assert (start.value, found.value) == (address, size)

    def misuse(self) -> None:
        known = [*self.allocated, *self.reserved, 2**40]
        address = self.random.choice(known) + self.random.choice([1, 512, PAGE // 2])
        assert self.call.cudaFree(c_void_p(address)) == INVALID
        assert self.call.cuMemAddressFree(c_uint64(address), c_size_t(PAGE)) == INVALID
        assert self.call.cuMemUnmap(c_uint64(address), c_size_t(PAGE)) == INVALID
        version = c_int()
        assert self.call.cudaRuntimeGetVersion(byref(version)) == 0


def main() -> None:
    library, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = Model(library, seed)
    for _ in range(count):
        model.step()


if __name__ == "__main__":
    main()
