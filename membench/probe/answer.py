"""What the fork server is asked, and what it answers."""

import msgspec

from membench.probe.log import EmulatorLog
from membench.result import Measurement
from membench.spec import ProbeSpec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Run a probe; if ``snapshot`` names a file, record it and write PyTorch's snapshot there.

    ``labelled`` records what each allocation is for too; without, nothing is changed by recording.
    """

    spec: ProbeSpec
    snapshot: str = ""
    labelled: bool = True


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The probe was run; ``log`` is empty where its process did not live to tell it."""

    measurement: Measurement
    log: EmulatorLog = EmulatorLog()


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The probe cannot be run as asked, which only the networks themselves could tell.

    A server that is ``spoiled``, since CUDA was initialised in it, can run no other either.
    """

    message: str
    spoiled: bool = False


Answer = Outcome | Refusal
