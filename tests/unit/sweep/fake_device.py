"""A device that is a formula: what a network needs under each strategy, the same every time and on every machine."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from membench.result import DeviceInfo, Measurement
from membench.spec import ProbeSpec
from membench.store import Provenance
from membench.sweep import Probe
from membench.units import GIB, MIB

DEVICE = DeviceInfo(
    name="a100-40gb",
    kind="emulated",
    title="Fake A100",
    total_bytes=40 * GIB,
    compute_capability="8.0",
    multiprocessors=108,
)
PROVENANCE = Provenance(device=DEVICE, versions={"torch": "2.11", "cudnn": "9.0"})

SAVED = {"plain": 1.0, "selective": 0.5, "checkpoint": 0.15}  # the others keep nothing of a block
WORK = {"reversible-sliced": 0.2}


def needed(spec: ProbeSpec) -> int:
    """Parameters four times over, what the strategy keeps of each block, and one block's work."""
    parameters = kept = work = 0
    strategy = spec.strategy.split(":")[0]
    for stage, width in enumerate(spec.network.channels):
        voxels = spec.batch * spec.volume[0] * spec.volume[1] * spec.volume[2] // 8**stage
        blocks = spec.network.blocks * (1 if stage == spec.network.stages - 1 else 2)
        inner = voxels * width * spec.network.expansion * 4
        parameters += blocks * 2 * width * width * spec.network.expansion * 16
        kept += int(blocks * 3 * inner * SAVED.get(strategy, 0.0))
        work = max(work, int(4 * inner * WORK.get(strategy, 1.0)))
    coupling = 0.9 if spec.network.coupling == "additive" else 1.0
    return int((parameters + kept + work) * coupling) + 64 * MIB


class FakeDevice:
    """Opens probes for workers and counts what they run.

    ``before`` is called with each spec before it is measured, and may raise or wait. ``failing`` specs crash.
    """

    def __init__(
        self,
        *,
        before: Callable[[ProbeSpec], None] = lambda spec: None,
        failing: Callable[[ProbeSpec], bool] = lambda spec: False,
    ) -> None:
        self.before = before
        self.failing = failing
        self.opened = 0
        self.closed = 0
        self.probed: Counter[str] = Counter()
        self._guard = threading.Lock()

    @contextmanager
    def open(self) -> Iterator[Probe]:
        with self._guard:
            self.opened += 1
        try:
            yield self.measure
        finally:
            with self._guard:
                self.closed += 1

    def measure(self, spec: ProbeSpec) -> Measurement:
        self.before(spec)
        with self._guard:
            self.probed[spec.key()] += 1
        found = Measurement(spec=spec, status="oom", device=DEVICE, versions=PROVENANCE.versions, seconds=time.time())
        if self.failing(spec):
            return Measurement(spec=spec, status="crashed", message="killed by signal 11")
        allocated = needed(spec)
        reserved = int(allocated * 1.005) // (2 * MIB) * 2 * MIB
        if reserved > (spec.budget or DEVICE.total_bytes):
            return found
        return msgspec.structs.replace(
            found, status="fits", peak_allocated_bytes=allocated, peak_reserved_bytes=reserved
        )
