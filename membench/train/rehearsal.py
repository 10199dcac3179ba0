"""What one rank of a training will need, before it is run: its steps on the emulated card, in a process of their own.

Nothing is learnt there, since nothing is computed; memory is all that is asked. The steps are those of
`membench.train.step`, with DDP or FSDP2 where there are several ranks. What NCCL takes for itself, outside
PyTorch's allocator, is not in it.
"""

import subprocess
import sys
import tempfile

import msgspec

from membench.device import Device
from membench.errors import MembenchError, UsageError
from membench.probe.words import last_words
from membench.spec import Volume
from membench.train.layouts import CaseError, Found
from membench.train.result import Peak
from membench.train.spec import TrainSpec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is asked for, on its standard input; it answers with a `Peak`."""

    spec: TrainSpec
    volume: Volume
    ranks: int
    device: str


def rehearse(spec: TrainSpec, device: Device, volume: Volume, ranks: int = 1) -> Peak:
    """Peaks of one of ``ranks`` ranks that trains on volumes of that size. Running out of memory is a result.

    Raises:
        MembenchError: the process did not live to tell.
    """
    request = Request(spec=spec, volume=volume, ranks=ranks, device=device.info.name)
    environment = device.child_environment() | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as printed:
        done = subprocess.run(
            [sys.executable, "-m", "membench.train.rank"],
            input=msgspec.json.encode(request),
            stdout=subprocess.PIPE,
            stderr=printed,
            env=environment,
            check=False,
        )
        if done.returncode:
            raise MembenchError(f"the rehearsal on {device.info.name} ended with an error{last_words(printed)}")
    return msgspec.json.decode(done.stdout, type=Peak)


def step_volume(spec: TrainSpec, found: Found) -> Volume:
    """The volume of a sample: the patch, or the whole of the first case, rounded up to the network's grid.

    Raises:
        CaseError: the first case's image cannot be opened.
        UsageError: there is no case.
    """
    if spec.patch:
        return spec.patch
    import nibabel as nib

    if not found.cases:
        raise UsageError("there is no case whose volume could be taken")
    first, grid = found.cases[0], spec.network.grid
    try:
        shape = nib.load(first.images[0]).shape
    except Exception as error:
        raise CaseError(first.name, f"{first.images[0]} is broken: {' '.join(str(error).split())}") from None
    sides = [-(-side // grid) * grid for side in shape[:3]]
    return sides[0], sides[1], sides[2]
