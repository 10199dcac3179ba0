"""Versions of the software that decides what fits: they are part of every result."""

import functools
import platform
from importlib.metadata import version

from membench import __version__


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of membench, Python, PyTorch, CUDA and cuDNN, as the running process has loaded them."""
    import torch  # only where it is already loaded: a probe

    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        "membench": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "cuda": torch.version.cuda or "none",
        "cudnn": ".".join(map(str, (cudnn // 10000, cudnn // 100 % 100, cudnn % 100))) if cudnn else "none",
    }
