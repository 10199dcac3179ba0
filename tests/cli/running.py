"""What the tests of the commands share."""

import sys
from collections.abc import Callable
from math import prod
from typing import NamedTuple, Self

from membench.device import Device
from membench.probe import EmulatorLog
from membench.result import Measurement
from membench.spec import NetworkSpec, ProbeSpec


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "membench", *arguments]


def _width(spec: ProbeSpec) -> int:
    network = spec.network
    return network.base_channels * network.blocks if isinstance(network, NetworkSpec) else prod(network.values.values())


class FakeProber:
    """Stands in for the prober: a probe takes memory in proportion to its voxels, more of it under ``plain``.

    Of a mix of strategies, that of the full resolution decides.
    """

    asked: list[ProbeSpec]

    def __init__(self, device: Device) -> None:
        self.device = device
        self.versions = {"membench": "0", "torch": "0"}
        self.log = EmulatorLog(calls={"cudaMalloc": ("exact", 3), "cudnnBackendFinalize": ("library", 2)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def __call__(self, spec: ProbeSpec) -> Measurement:
        self.asked.append(spec)
        depth, height, width = spec.volume
        share = {"plain": 4, "broken": 4}.get(spec.strategy.split(":")[0], 1)
        peak = depth * height * width * spec.batch * _width(spec) * share * 64
        budget = spec.budget or self.device.usable_bytes
        status = "fits" if peak <= budget else "oom"
        if spec.strategy == "broken":
            status = "crashed"
        return Measurement(
            spec=spec,
            status=status,
            message="" if status == "fits" else "CUDA out of memory. Tried to allocate 2.00 MiB. And so on.",
            peak_allocated_bytes=min(peak, budget),
            peak_reserved_bytes=min(peak, budget),
            peak_requested_bytes=min(peak, budget),
            parameters=1_234_567,
            device=self.device.info,
            versions=self.versions,
        )
