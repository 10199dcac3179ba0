"""What a process printed before it ended."""

import os
from typing import IO


def last_words(printed: IO[bytes]) -> str:
    """``: `` and the last line of the file, which tells most; nothing if the file is empty."""
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - 4096))
    lines = printed.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""
