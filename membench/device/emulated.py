"""How a child process comes to run on the emulated device: the environment that puts it under PyTorch."""

import importlib.util
import os
import re
import sys
from pathlib import Path

from membench.device.catalog import Card
from membench.errors import MembenchError

LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
INSTALL_TORCH = "pip install --force-reinstall 'torch>=2.11' on x86-64 Linux gives a CUDA build"


def library_paths() -> tuple[Path, ...]:
    """The two shared objects that were built when the package was installed."""
    return tuple(Path(__file__).with_name("emulator") / name for name in LIBRARIES)


def environment(card: Card) -> dict[str, str]:
    """What a child's environment must have, beside the parent's, so that its CUDA device is this card.

    Raises:
        MembenchError: this machine cannot run the emulated device; the message says why and what to do.
    """
    torch = _require_platform()
    libraries = library_paths()
    if not all(path.exists() for path in libraries):
        raise MembenchError(
            "the emulated device was not built when membench was installed; install it again on Linux with a "
            "C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev)"
        )
    inherited = [entry for entry in os.environ.get("LD_PRELOAD", "").split(":") if entry]
    ours = [str(path) for path in libraries]
    return {
        "LD_PRELOAD": ":".join([*ours, *(entry for entry in inherited if entry not in ours)]),
        "MEMBENCH_CUDNN": str(_find_cudnn(torch)),
        "MEMBENCH_DEVICE": card.describe(),
        # Triton links what it compiles against the driver's library.
        "TRITON_LIBCUDA_PATH": str(libraries[0].parent),
        # The emulated card is the only one there is, whatever the machine's owner hides or counts otherwise.
        "CUDA_VISIBLE_DEVICES": "0",
        "PYTORCH_NVML_BASED_CUDA_CHECK": "0",
    }


def _require_platform() -> Path:
    """PyTorch's folder, once it is known to hold a build that the emulated device can be put under."""
    if sys.platform != "linux":
        raise MembenchError(f"the emulated device runs on x86-64 Linux only, not on {sys.platform}; {INSTALL_TORCH}")
    torch, version = require_cuda_build()
    if int(version.split(".")[0]) != 13:
        raise MembenchError(
            f"this PyTorch is built for CUDA {version}; the emulated device speaks CUDA 13, {INSTALL_TORCH}"
        )
    return torch


def require_cuda_build() -> tuple[Path, str]:
    """The folder of PyTorch and the version of CUDA that it is built for. Nothing is imported.

    Raises:
        MembenchError: PyTorch is not installed, or is a CPU-only build; the message says what to do.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise MembenchError(f"PyTorch is not installed; {INSTALL_TORCH}")
    torch = Path(spec.origin).parent
    version = cuda_version(torch)
    if version is None or not (torch / "lib" / "libtorch_cuda.so").exists():
        raise MembenchError(f"this PyTorch is a CPU-only build; {INSTALL_TORCH}")
    return torch, version


def cuda_version(torch: Path) -> str | None:
    """The CUDA version that PyTorch was built for, from its own version file; None for a CPU build."""
    match = re.search(r"^cuda[^=]*=\s*'([\d.]+)'", (torch / "version.py").read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else None


def _find_cudnn(torch: Path) -> Path:
    for folder in (torch.parent / "nvidia" / "cudnn" / "lib", torch / "lib"):
        library = folder / "libcudnn.so.9"
        if library.exists():
            return library
    raise MembenchError(f"PyTorch's cuDNN 9 was not found beside it ({torch.parent}); {INSTALL_TORCH}")
