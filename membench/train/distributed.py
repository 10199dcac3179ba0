"""The ranks of a training that ``torchrun`` started; a single one without it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import torch
from torch import distributed

from membench.errors import UsageError


class Ranks(msgspec.Struct, frozen=True, kw_only=True):
    """This process's place among all, and the device that it trains on."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in order, on every rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the other ranks of ``torchrun``, over NCCL on GPUs and gloo on CPUs, until the block ends.

    Raises:
        UsageError: one GPU is named where each rank takes its own, or this machine has too few.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if count == 1:
        yield Ranks(device=_usable(torch.device(device)))
        return
    if ":" in device:
        raise UsageError("under torchrun each rank takes the GPU of its own number; name the device cuda")
    chosen = _usable(torch.device(device, local) if device == "cuda" else torch.device(device))
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=distributed.get_rank(), count=count, device=chosen)
    finally:
        distributed.destroy_process_group()


def _usable(device: torch.device) -> torch.device:
    if device.type == "cuda":
        ordinal = device.index or 0
        if ordinal >= torch.cuda.device_count():
            raise UsageError(f"there is no device cuda:{ordinal}; this machine has {torch.cuda.device_count()} GPUs")
        torch.cuda.set_device(ordinal)
        return torch.device("cuda", ordinal)
    return device
