"""Whatever the installed PyTorch calls is answered or refused by the emulated device, never left to chance."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from membench.device.emulated import library_paths

TORCH = Path(importlib.util.find_spec("torch").origin).parent
LIBRARIES = ("c10_cuda", "torch_cuda", "torch_cuda_linalg", "torch_python", "caffe2_nvrtc")
ANSWERED = re.compile(r"^(__cuda|cuda|cudnn|cublas|cusolver|cusparse(?!Lt)|cufft|cu(?!File)[A-Z])")

# These make no call to a device, or tell of nothing but an error's name: the real library's own answer is right.
LEFT_TO_THE_LIBRARY = {"cusparseGetErrorString"}


def symbols(library: Path, which: str) -> set[str]:
    listed = subprocess.run(["nm", "-D", which, library], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in listed.splitlines()}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_call_that_torch_can_make_is_known(library: str) -> None:
    defined = symbols(library_paths()[0], "--defined-only")
    needed = {name for name in symbols(TORCH / "lib" / f"lib{library}.so", "--undefined-only") if ANSWERED.match(name)}
    assert needed, "the pattern finds what the library calls"
    assert needed - defined - LEFT_TO_THE_LIBRARY == set()


def test_only_entry_points_are_exported() -> None:
    exported = symbols(library_paths()[0], "--defined-only")
    assert {name for name in exported if not re.match(r"(__)?cu[A-Za-z]|membench_", name)} == set()
