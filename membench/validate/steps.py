"""A step of the user's, taken on a device with the allocator's history on: what a recording is compared with.

Started as ``python -m membench.validate.steps`` in the environment of its device, with a `Take` on standard input.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from membench.device import Device
from membench.errors import MembenchError, UsageError
from membench.snapshot import Snapshot, read_snapshot

_MISUSE = 2


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """``step`` is as in `membench.model_spec.ModelSpec`: called with the device, it returns a function that runs one.

    It is run ``warm_up`` times before the recording, and ``steps`` times in it. The recording is written to ``file``.
    """

    step: str
    warm_up: int
    steps: int
    file: str


def take(device: Device, asked: Take) -> Snapshot:
    """Take the step on the device, in a process of its own, and read its history.

    Raises:
        UsageError: the step cannot be imported, or is no step.
        MembenchError: it failed, or the emulated device does not model a call that it made; the message says which.
    """
    done = subprocess.run(
        [sys.executable, "-m", "membench.validate.steps"],
        input=msgspec.json.encode(asked),
        # The user's own settings stay, such as those of the allocator: they have to be the recording's.
        env={**os.environ, "OMP_NUM_THREADS": "1", **device.environment},
        capture_output=True,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise (UsageError if done.returncode == _MISUSE else MembenchError)(words[-1])
    return read_snapshot(Path(asked.file))


def _main() -> int:
    import torch

    from membench.probe.log import read_log
    from membench.probe.workload import OwnStep

    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Take)
    try:
        step = OwnStep(asked.step, {}, torch.device("cuda:0")).begin()
        for _ in range(asked.warm_up):
            step()
        torch.cuda.memory._record_memory_history(max_entries=sys.maxsize >> 1)
        for _ in range(asked.steps):
            step()
        torch.cuda.memory._dump_snapshot(asked.file)  # type: ignore[no-untyped-call]
    except UsageError as error:
        return _fail(str(error), _MISUSE)
    except Exception as error:
        refused = read_log().refused
        words = f"the emulated device does not model {', '.join(refused)}" if refused else " ".join(str(error).split())
        return _fail(f"the step failed with {type(error).__name__}: {words}", 1)
    if refused := read_log().refused:
        return _fail(f"the emulated device does not model {', '.join(refused)}", 1)
    return 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code


if __name__ == "__main__":
    sys.exit(_main())
