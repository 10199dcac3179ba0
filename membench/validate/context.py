"""What a CUDA context takes of a device before anything is allocated, asked in a process of its own.

Started as ``python -m membench.validate.context ORDINAL`` in the environment of its device.
"""

import ctypes
import subprocess
import sys

import msgspec

from membench.device import Device
from membench.errors import MembenchError


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """``held_bytes`` is what is not free of ``total_bytes`` right after a context was made; other processes' included.

    ``driver`` is the version of the NVIDIA driver, empty where there is none, ``cuda_driver`` the newest CUDA that it
    can run, such as 13000 for 13.0.
    """

    total_bytes: int
    held_bytes: int
    driver: str
    cuda_driver: int


def context_of(device: Device) -> Context:
    """Make a context on the device, and say what it takes.

    Raises:
        MembenchError: no context could be made; the message has the last line of the process that tried.
    """
    _, _, ordinal = device.info.name.partition("cuda:") if device.info.kind == "real" else ("", "", "")
    done = subprocess.run(
        [sys.executable, "-m", "membench.validate.context", ordinal or "0"],
        env=device.child_environment(),
        capture_output=True,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise MembenchError(f"no CUDA context could be made on {device.info.title}: {words[-1]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Context)


def _main(ordinal: str) -> None:
    import torch

    torch.cuda.set_device(int(ordinal))
    free, total = torch.cuda.mem_get_info()
    context = Context(
        total_bytes=total,
        held_bytes=total - free,
        driver=_driver(),
        cuda_driver=_cuda_driver(),
    )
    sys.stdout.buffer.write(msgspec.json.encode(context) + b"\n")


def _cuda_driver() -> int:
    version = ctypes.c_int()
    ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    return version.value


def _driver() -> str:
    try:
        nvml, text = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.create_string_buffer(80)
        nvml.nvmlInit_v2()
        return text.value.decode() if nvml.nvmlSystemGetDriverVersion(text, len(text)) == 0 else ""
    except (OSError, AttributeError):
        return ""


if __name__ == "__main__":
    _main(*sys.argv[1:])
