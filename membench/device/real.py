"""The GPU of this machine, asked through the driver alone: PyTorch is not imported and no context is made."""

import ctypes
from typing import NamedTuple

from membench.errors import MembenchError

_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76


class Gpu(NamedTuple):
    name: str
    total_bytes: int
    compute_capability: str
    multiprocessors: int


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that the NVIDIA driver of this machine shows to this process; none without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_describe(driver, ordinal) for ordinal in range(count.value))


def _describe(driver: ctypes.CDLL, ordinal: int) -> Gpu:
    device, total, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(256)
    if driver.cuDeviceGet(ctypes.byref(device), ordinal) != 0:
        raise MembenchError(f"the NVIDIA driver does not give access to GPU {ordinal}; see nvidia-smi")
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(total), device)

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
        return value.value

    capability = f"{attribute(_MAJOR)}.{attribute(_MINOR)}"
    return Gpu(name.value.decode(), total.value, capability, attribute(_MULTIPROCESSORS))
