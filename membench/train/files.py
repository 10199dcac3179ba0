"""Folders that are written to."""

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
