"""Versions of the software that decides what fits: they are part of every result."""

import ctypes
import functools
import platform

import torch

from membench import __version__


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of membench, Python, PyTorch, CUDA and cuDNN, as the running process has loaded them."""
    return {
        "membench": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "none",
        "cudnn": _cudnn_version(),
    }


def _cudnn_version() -> str:
    # Not torch.backends.cudnn.version(): it asks for a device, after which this process could not fork a probe.
    try:
        number = ctypes.CDLL("libcudnn.so.9").cudnnGetVersion()
    except OSError:
        return "none"
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
