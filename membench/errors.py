"""Errors that a user can act on. Each carries the exit code of the process that ends with it."""

from collections.abc import Iterator
from contextlib import contextmanager


class MembenchError(Exception):
    """Something that the user can mend; the message is one line and says how."""

    exit_code = 1


class UsageError(MembenchError):
    """The request itself is wrong: an option, a combination of them, or a file that it names."""

    exit_code = 2


@contextmanager
def named_file() -> Iterator[None]:
    """What cannot be read or understood in here was named by the user: bad usage, whatever the reader makes of it.

    For readers that also read what membench itself has written, where the same is a failure.
    """
    try:
        yield
    except MembenchError as error:
        raise UsageError(str(error)) from error
