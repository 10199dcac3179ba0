"""The line of code that asked for an operation, seen past PyTorch."""

import functools
import re
import sys
import sysconfig
from pathlib import Path

import torch

_RECORDING = Path(__file__).parent
_TORCH, _PYTHON = (f"{folder}/" for folder in (Path(torch.__file__).parent, sysconfig.get_path("stdlib")))
_SITE = re.compile(r".*/(?:site|dist)-packages/")


def calling_line() -> str:
    """``file:line (function)`` of the innermost frame outside PyTorch and the recorder; empty if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        file = _shown(code.co_filename)
        if file:
            return f"{file}:{frame.f_lineno} ({code.co_name})"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


@functools.cache
def _shown(filename: str) -> str:
    """A file as readers know it; empty if it is passed over."""
    path = Path(filename)
    if filename.startswith("<") or (path.parent == _RECORDING and path.stem.startswith(("recorder", "place"))):
        return ""
    if filename.startswith(_TORCH):
        return ""
    if _SITE.match(filename):
        return _SITE.sub("", filename)
    if filename.startswith(_PYTHON):
        return ""
    for root in (_RECORDING.parent.parent, Path.cwd()):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return filename
