"""What a process printed before it ended, and where in the user's code an error came from."""

import os
import traceback
from pathlib import Path
from typing import IO

_OURS = Path(__file__).parents[1]
_PYTHONS = Path(os.__file__).parent


def last_words(printed: IO[bytes]) -> str:
    """``: `` and the last line of the file, which tells most; nothing if the file is empty."""
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - 4096))
    lines = printed.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""


def users_line(error: BaseException) -> str:
    """`` (file:line)``: the innermost place in the user's own code, or else in an installed package but PyTorch.

    Nothing where the error comes from membench's code and PyTorch's alone.
    """
    written = installed = None
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if "site-packages" in path.parts or "dist-packages" in path.parts:
            installed = installed if "torch" in path.parts else frame
        elif path.is_absolute() and not path.is_relative_to(_OURS) and not path.is_relative_to(_PYTHONS):
            written = frame
    found = written or installed
    return f" ({found.filename}:{found.lineno})" if found else ""
