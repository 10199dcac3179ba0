"""Devices: the GPU of this machine, or a described card that is emulated. Nothing above this room asks which."""

import os
import re
import sys
from pathlib import Path

import msgspec

from membench.device import emulated, real
from membench.device.catalog import Card, catalog, find_card, own_cards, use_cards
from membench.errors import MembenchError, UsageError
from membench.result import DeviceInfo
from membench.units import GIB, format_bytes

__all__ = [
    "SETTINGS",
    "Card",
    "Device",
    "ascending",
    "catalog",
    "default_device",
    "find_card",
    "resolve",
    "unlimited",
    "use_cards",
]

DEFAULT_CARD = "a100-40gb"
# Variables with which PyTorch and its libraries allocate otherwise. A process can have got them without its user's
# doing: importing MONAI sets CUBLAS_WORKSPACE_CONFIG.
SETTINGS = (
    "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDNN_ERRATA_JSON_FILE",
    "CUDNN_FRONTEND_ATTN_DP_WORKSPACE_LIMIT",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_CUBLASLT_UNIFIED_WORKSPACE",
    "TORCH_CUBLAS_WORKSPACE_CACHE",
)
UNLIMITED_BYTES = 4 * 1024 * GIB


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device that probes can run on. ``environment`` is added to that of the child process that uses it.

    ``usable_bytes`` is the most that a process can allocate: what a CUDA context takes is already off, except on a real
    device, where it is only known once a context exists.
    """

    info: DeviceInfo
    usable_bytes: int
    environment: dict[str, str]

    def child_environment(self) -> dict[str, str]:
        """This process's environment for a child that uses the device, whose results shall not depend on it."""
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        return inherited | self.environment | _path_to_this_package()

    def check_budget(self, budget: int | None) -> None:
        """Refuse a budget that the device does not have.

        Raises:
            UsageError: the budget is larger than what a process can allocate on the device.
        """
        if budget is not None and budget > self.usable_bytes:
            raise UsageError(
                f"budget {format_bytes(budget)} is larger than what {self.info.name} offers, "
                f"{format_bytes(self.usable_bytes)} ({self.usable_bytes} bytes); "
                f"give a smaller one, such as --budget {self.usable_bytes // GIB}GiB"
            )


def _path_to_this_package() -> dict[str, str]:
    """Where an editable install is found by no path: a folder named membench in the working folder is not it."""
    root = str(Path(__file__).parents[2])
    if root in sys.path:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))}


def default_device() -> str:
    """The first card of the user's own, if there is one; else ``cuda`` where there is a GPU, else an A100 40 GB."""
    own = own_cards()
    if own:
        return own[0]
    return "cuda" if real.gpus() else DEFAULT_CARD


def resolve(name: str | None = None) -> Device:
    """The device of this name: ``cuda``, ``cuda:N``, or a card of the catalog (an unambiguous prefix is enough).

    Raises:
        UsageError: there is no such card, or no such GPU.
        MembenchError: the emulated device cannot run on this machine, or PyTorch is not a CUDA build.
    """
    wanted = name or default_device()
    match = re.fullmatch(r"cuda(?::(\d+))?", wanted)
    return _real(int(match[1] or 0)) if match else _emulated(wanted)


def unlimited(device: Device) -> Device | None:
    """The same card with more memory than any network takes; None for a real GPU, which has what it has.

    The memory of a card decides nothing but what fits: libraries plan by its other figures.
    """
    if device.info.kind == "real":
        return None
    name, card = find_card(device.info.name)
    return _described(name, msgspec.structs.replace(card, total_bytes=UNLIMITED_BYTES))


def ascending(device: Device) -> Device:
    """The same emulated card under a driver that puts new memory above the old, where most put it below.

    It decides what PyTorch's allocator takes where several free blocks are of one size: the one of the lowest address.
    """
    described = f"{device.environment['MEMBENCH_DEVICE']};addresses_ascend=1"
    return msgspec.structs.replace(device, environment=device.environment | {"MEMBENCH_DEVICE": described})


def _emulated(wanted: str) -> Device:
    return _described(*find_card(wanted))


def _described(name: str, card: Card) -> Device:
    info = DeviceInfo(
        name=name,
        kind="emulated",
        title=card.title,
        total_bytes=card.total_bytes,
        compute_capability=card.compute_capability,
        multiprocessors=card.multiprocessors,
    )
    return Device(info=info, usable_bytes=card.usable_bytes, environment=emulated.environment(card))


def _real(ordinal: int) -> Device:
    found = real.gpus()
    if not found:
        raise MembenchError(
            "no NVIDIA GPU was found on this machine; choose an emulated card, for example --device "
            f"{DEFAULT_CARD} (membench devices lists all)"
        )
    if ordinal >= len(found):
        raise UsageError(f"there is no device cuda:{ordinal}; this machine has {len(found)}, numbered from 0")
    emulated.require_cuda_build()
    gpu = found[ordinal]
    info = DeviceInfo(
        name=f"cuda:{ordinal}" if ordinal else "cuda",
        kind="real",
        title=gpu.name,
        total_bytes=gpu.total_bytes,
        compute_capability=gpu.compute_capability,
        multiprocessors=gpu.multiprocessors,
    )
    return Device(info=info, usable_bytes=gpu.total_bytes, environment={})
