"""Random numbers that a recomputation must draw again."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def is_random(module: nn.Module) -> bool:
    """Say whether a run of the module draws random numbers: whether dropout is active in it.

    A module of the user's that draws them otherwise says so with a true attribute ``random``.
    """
    return any(
        getattr(part, "random", False) or (isinstance(part, _DropoutNd) and part.training and part.p > 0)
        for part in module.modules()
    )


class RandomState:
    """The state, now, of the host's random numbers and of the device's.

    Taken only where it is needed: reading a device's state may wait for the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._host = torch.get_rng_state()
        self._device = None if device.type in ("cpu", "meta") else device
        if self._device is not None:
            self._on_device = torch.get_device_module(self._device).get_rng_state(self._device)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw the same numbers again inside; afterwards the states are as if nothing had been drawn."""
        devices = [] if self._device is None else [self._device]
        kind = "cuda" if self._device is None else self._device.type
        with torch.random.fork_rng(devices=devices, device_type=kind):
            torch.set_rng_state(self._host)
            if self._device is not None:
                torch.get_device_module(self._device).set_rng_state(self._on_device, self._device)
            yield
