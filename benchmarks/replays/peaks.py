"""What the replays share: measuring a step, and telling what came of it as a line of JSON."""

import gc
import json
import sys
from collections.abc import Callable, Mapping

import torch

from membench.probe.log import read_log

Step = Callable[[], None]


def tell_peak(workload: str, make: Callable[[], Step], *, warm_up: bool) -> None:
    """Print the peaks of a workload, or the name of the package that it lacks."""
    told: Mapping[str, int | str | None]
    try:
        told = peaks_of(make, warm_up=warm_up)
    except ModuleNotFoundError as error:
        told = {"missing": error.name}
    sys.stdout.write(json.dumps({"workload": workload, **told}) + "\n")
    sys.stdout.flush()


def peaks_of(make: Callable[[], Step], *, warm_up: bool) -> dict[str, int]:
    """The allocator's peaks in bytes over one step, which is made with an empty cache and forgotten afterwards.

    ``warm_up`` runs the step once before, so that the optimizer has its state.

    Raises:
        RuntimeError: the emulated device does not model a call that the step made.
    """
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step = make()
    if warm_up:
        step()
        torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    if refused := read_log().refused:
        raise RuntimeError(f"the emulated device does not model {', '.join(refused)}")
    peaks = {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
    del step
    gc.collect()
    return peaks
