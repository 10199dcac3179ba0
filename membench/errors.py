"""Errors that a user can act on. Each carries the exit code of the process that ends with it."""


class MembenchError(Exception):
    """Something that the user can mend; the message is one line and says how."""

    exit_code = 1


class UsageError(MembenchError):
    """The request itself is wrong: an option, a preset or a combination of them."""

    exit_code = 2
