"""What the fork server answers to a request."""

import msgspec

from membench.probe.log import EmulatorLog
from membench.result import Measurement


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The probe was run; ``log`` is empty where its process did not live to tell it."""

    measurement: Measurement
    log: EmulatorLog = EmulatorLog()


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The probe cannot be run as asked, which only the networks themselves could tell."""

    message: str


Answer = Outcome | Refusal
