"""The files of a profile."""

from membench.report.profile.write import write_profile

__all__ = ["write_profile"]
