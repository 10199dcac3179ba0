"""Made-up devices for searches: peaks as they grow in practice, and the probe that goes with them."""

import random
from collections.abc import Callable

import msgspec

from membench.result import Measurement, SearchResult, Status
from membench.search import search
from membench.spec import AxisName, ProbeSpec, SearchSpec
from membench.units import GIB, MIB

BUDGET = 16 * GIB


class Peak(msgspec.Struct, frozen=True):
    """What one value needs: ``least`` decides whether it fits; the allocator reserves more where it can."""

    allocated: int
    least: int
    reserved: int


def amount(axis: AxisName, spec: ProbeSpec) -> int:
    """The plain number that the axis puts into a probe: longest side, stages, blocks, channels, batch."""
    network = spec.network
    by_axis = {
        "volume": max(spec.volume),
        "stages": network.stages,
        "blocks": network.blocks,
        "channels": network.base_channels,
        "batch": spec.batch,
    }
    return by_axis[axis]


def peak_probe(axis: AxisName, peaks: Callable[[int], Peak]) -> Callable[[ProbeSpec], Measurement]:
    """A probe on a device where a value needs ``peaks(amount)``."""

    def probe(spec: ProbeSpec) -> Measurement:
        peak = peaks(amount(axis, spec))
        assert spec.budget is not None
        if peak.least > spec.budget:
            return Measurement(spec=spec, status="oom")
        return Measurement(
            spec=spec,
            status="fits",
            peak_allocated_bytes=peak.allocated,
            peak_reserved_bytes=min(peak.reserved, spec.budget),
        )

    return probe


def status_search(statuses: Callable[[int], Status], spec: SearchSpec) -> SearchResult:
    """Search an axis where only statuses are told: without peaks, the search doubles and halves."""

    def probe(probed: ProbeSpec) -> Measurement:
        number = amount(spec.axis, probed)
        return Measurement(spec=probed, status=statuses(number))

    return search(spec, probe)


def realistic_edge(axis: AxisName, seed: int) -> int:
    """About where the peaks of `realistic` reach the budget."""
    ranges = {"volume": (48, 256), "blocks": (2, 100), "channels": (32, 320), "batch": (1, 24)}
    return random.Random(f"{axis} {seed}").randint(*ranges[axis])


def realistic(axis: AxisName, seed: int) -> Callable[[int], Peak]:
    """Peaks in the manner of those measured on the emulated A100.

    Affine in voxels, blocks or samples, quadratic in channels. Reserved peaks are some per cent above allocated ones,
    of which the allocator gives back before it fails anything from nothing to all. A change of a library's plan adds or
    takes some per cent from some value on. More blocks change no layer's plan, and are alike: they give back most.
    """
    rng = random.Random(seed)
    edge = realistic_edge(axis, seed)
    fixed = rng.uniform(0.0, 0.6) * BUDGET
    bend = rng.random() if axis == "channels" else 0.0
    alike = axis == "blocks"
    jump_at, jump = rng.uniform(0.0, 1.3) * edge, 0.0 if alike else rng.uniform(-0.03, 0.03)
    surplus, kept = rng.uniform(0.002, 0.05), rng.random() * (0.1 if alike else 1.0)

    def peaks(number: int) -> Peak:
        own = random.Random(f"{seed} {number}")
        share = number / edge
        growth = share**3 if axis == "volume" else bend * share**2 + (1 - bend) * share
        allocated = fixed + (BUDGET - fixed) * growth * (1 + jump * (number >= jump_at)) + own.uniform(-4, 4) * MIB
        more = surplus if alike else surplus * own.uniform(0.5, 1.5)
        return Peak(int(allocated), int(allocated * (1 + more * kept)), int(allocated * (1 + more)) // MIB * MIB)

    return peaks
