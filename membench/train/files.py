"""Folders that are written to."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from membench.errors import MembenchError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's refusal (no permission, no room, a file in the way) into an error of one line.

    Raises:
        MembenchError: what is done inside raised `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise MembenchError(f"{folder} cannot be written: {error.strerror or error}") from error


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made, without making it.

    Raises:
        MembenchError: a file is in its way, or there is no permission.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    with writing(folder):
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if place != folder and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
