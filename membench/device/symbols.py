"""The library calls that the installed PyTorch can make, beside those that the emulated device answers or refuses."""

import re
import shutil
import subprocess
from pathlib import Path

from membench.device.emulated import library_paths, require_cuda_build
from membench.errors import MembenchError

LIBRARIES = ("c10_cuda", "torch_cuda", "torch_cuda_linalg", "torch_python", "caffe2_nvrtc")
ANSWERED = re.compile(r"^(__cuda|cuda|cudnn|cublas|cusolver|cusparse(?!Lt)|cufft|cu(?!File)[A-Z])")

# These make no call to a device, or tell of nothing but an error's name: the real library's own answer is right.
LEFT_TO_THE_LIBRARY = {"cusparseGetErrorString"}


def needed_calls() -> dict[str, set[str]]:
    """By library of PyTorch, the calls of CUDA and its libraries that it is linked to.

    Raises:
        MembenchError: PyTorch is not installed, is a CPU-only build, or ``nm`` is not there to read its libraries.
    """
    folder = require_cuda_build()[0] / "lib"
    return {
        name: {call for call in _symbols(folder / f"lib{name}.so", "--undefined-only") if ANSWERED.match(call)}
        for name in LIBRARIES
    }


def exported_calls() -> set[str]:
    """What the emulated device defines.

    Raises:
        MembenchError: ``nm`` is not there to read it.
    """
    return _symbols(library_paths()[0], "--defined-only")


def missing_calls() -> tuple[str, ...]:
    """The calls that the installed PyTorch can make and the emulated device neither answers nor refuses, by name.

    Raises:
        MembenchError: as `needed_calls`.
    """
    return tuple(sorted(set().union(*needed_calls().values()) - exported_calls() - LEFT_TO_THE_LIBRARY))


def _symbols(library: Path, which: str) -> set[str]:
    if shutil.which("nm") is None:
        raise MembenchError(
            "nm was not found, which reads the libraries' symbols (Debian, Ubuntu: apt-get install binutils)"
        )
    try:
        listed = subprocess.run(["nm", "-D", which, library], check=True, capture_output=True, text=True).stdout
    except subprocess.CalledProcessError as error:
        raise MembenchError(f"nm cannot read {library}: {' '.join(error.stderr.split())}") from None
    return {line.split()[-1].split("@")[0] for line in listed.splitlines()}
