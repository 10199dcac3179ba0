"""A made-up sweep with a plausible memory formula, to develop and test the report against.

The figures mean nothing; only their shape (plain holds every activation, checkpoint one block's worth, reversible
one stage's worth) is like the real thing.
"""

from collections.abc import Callable
from dataclasses import replace as dataclass_replace
from dataclasses import dataclass

from msgspec.structs import replace

from membench.report import ReportData
from membench.result import AxisValue, Claim, ClaimName, DeviceInfo, Measurement, Point, SearchResult, Status
from membench.spec import AxisName, Coupling, ProbeSpec, SearchSpec
from membench.units import GIB

A100 = DeviceInfo(
    name="a100-40gb",
    kind="emulated",
    title="NVIDIA A100-PCIE-40GB",
    total_bytes=42_298_834_944,
    compute_capability="8.0",
    multiprocessors=108,
)
VERSIONS = {"membench": "0.1.0", "torch": "2.14.1+cu130", "cuda": "13.0", "cudnn": "9.24.0", "python": "3.13.1"}
VARIANTS: tuple[tuple[str, Coupling], ...] = (
    ("plain", "additive"),
    ("plain", "none"),
    ("checkpoint", "additive"),
    ("reversible", "additive"),
)
BASE = ProbeSpec(budget=16 * GIB)
_KEPT = {"plain": 1.0, "checkpoint": 0.24, "reversible": 0.06}


@dataclass(frozen=True)
class World:
    """What the made-up machine does: a status for chosen extents, wall times, an end of the axis."""

    seconds: float = 1.5
    status: Callable[[SearchSpec, int], Status | None] = lambda spec, extent: None
    limit: int = 64

    def probe(self, search: SearchSpec, step: int) -> Point:
        spec, value, extent = _at(search, step)
        peak, parameters = _memory(spec)
        budget = spec.budget or A100.total_bytes
        status = self.status(search, extent) or ("fits" if peak <= budget else "oom")
        reserved = min(-(-peak // (20 << 20)) * (20 << 20), budget)
        measurement = Measurement(
            spec=spec,
            status=status,
            message="" if status == "fits" else f"the step ended with {status}",
            peak_allocated_bytes=min(peak, budget),
            peak_reserved_bytes=reserved,
            peak_requested_bytes=int(min(peak, budget) * 0.99),
            largest_workspace_bytes=256 << 20,
            allocator_retries=int(status == "oom"),
            modelled_calls=("cublasSgemm_v2",),
            parameters=parameters,
            device=A100,
            versions=VERSIONS,
            seconds=self.seconds + step,
        )
        return Point(value=value, extent=extent, measurement=measurement)

    def search(self, spec: SearchSpec) -> SearchResult:
        """Doubling, then bisection, on the steps of the axis."""
        probes: dict[int, Point] = {}

        def fits(step: int) -> bool:
            probes.setdefault(step, self.probe(spec, step))
            return probes[step].measurement.fits

        low, high = 0, 4
        while high <= self.limit and fits(high):
            low, high = high, high * 2
        while high - low > 1 and low < self.limit:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return SearchResult(
            search=spec,
            largest_fit=probes.get(low),
            smallest_unfit=probes.get(high),
            limit_reached=high not in probes,
            holes=tuple(p.value for p in probes.values() if not p.measurement.fits and p.extent < _at(spec, low)[2]),
            probes=tuple(probes.values()),
            failure=next((p for p in probes.values() if p.measurement.status not in ("fits", "oom")), None),
        )


def _at(search: SearchSpec, step: int) -> tuple[ProbeSpec, AxisValue, int]:
    probe = search.probe
    if search.axis == "volume":
        side = 8 * step
        return replace(probe, volume=(side, side, side)), (side, side, side), side**3
    if search.axis == "blocks":
        return replace(probe, network=replace(probe.network, blocks=step)), step, step
    return replace(probe, network=replace(probe.network, base_channels=16 * step)), 16 * step, 16 * step


def _memory(spec: ProbeSpec) -> tuple[int, int]:
    network, voxels = spec.network, spec.volume[0] * spec.volume[1] * spec.volume[2]
    width = 1.0 if network.coupling == "additive" else 2.1
    activations = parameters = transient = 0.0
    for stage, channels in enumerate(network.channels):
        blocks = network.blocks * 2 * _KEPT[spec.strategy]
        site = voxels / 8**stage * channels * 4 * width
        activations += site * (4 + blocks * (1 + 2.2 * network.expansion) / 2)
        transient = max(transient, site * 1.5 * network.expansion)
        parameters += network.blocks * 2 * width * network.expansion * channels**2 / 2
    return int(activations + transient + parameters * 16), int(parameters)


def searches(world: World, base: ProbeSpec, axes: tuple[AxisName, ...]) -> tuple[SearchResult, ...]:
    return tuple(world.search(_planned(base, axis, *variant)) for axis in axes for variant in VARIANTS)


def _planned(base: ProbeSpec, axis: AxisName, strategy: str, coupling: Coupling) -> SearchSpec:
    network = replace(base.network, coupling=coupling)
    volume = base.volume if axis == "volume" else (96, 96, 96)
    return SearchSpec(axis=axis, probe=replace(base, volume=volume, strategy=strategy, network=network))


def fake_report(world: World = World(), *, title: str = "Reversible 3-D U-Nets under 16 GiB") -> ReportData:
    axes: tuple[AxisName, ...] = ("volume", "blocks", "channels")
    main = searches(world, BASE, axes)
    knobs = [replace(BASE, budget=gib * GIB) for gib in (8, 24, 32)]
    knobs += [replace(BASE, network=replace(BASE.network, expansion=n)) for n in (2, 4)]
    volume_only = [replace(BASE, network=replace(BASE.network, blocks=n)) for n in (1, 3, 4)]
    sensitivity = [s for base in knobs for s in searches(world, base, axes)]
    sensitivity += [s for base in volume_only for s in searches(world, base, ("volume", "channels"))]
    named: tuple[tuple[ClaimName, float], ...] = (("volume", 3.0), ("depth", 1.25), ("channels", 2.0))
    return ReportData(
        title=title,
        description="How far each memory strategy gets before a training step runs out of memory.",
        assumptions={
            "expansion 6": "MobileNetV2's default; the paper does not state its own.",
            "4 stages, 2 blocks per stage": "As in the U-Nets of BraTS 2020; sensitivity searches vary the blocks.",
            "32 base channels": "nnU-Net's default for full resolution.",
        },
        searches=main,
        claims=tuple(claim(name, ratio, main[4 * n], main[4 * n + 3]) for n, (name, ratio) in enumerate(named)),
        sensitivity=tuple(sensitivity),
        notices=("The device is emulated: no kernel ran, and no time of a kernel is reported.",),
    )


def claim(name: ClaimName, paper: float, reference: SearchResult, candidate: SearchResult) -> Claim:
    both = reference.largest_fit is not None and candidate.largest_fit is not None
    ratio = candidate.largest_fit.extent / reference.largest_fit.extent if both else None
    return Claim(
        claim=name,
        paper_ratio=paper,
        measured_ratio=ratio,
        reproduced=ratio is not None and ratio >= paper,
        reference=reference,
        candidate=candidate,
    )


def troubled_report() -> ReportData:
    """Holes, crashes, an axis that ended, and searches in which nothing fits."""

    def status(spec: SearchSpec, extent: int) -> Status | None:
        if spec.probe.strategy == "checkpoint" and spec.axis == "channels":
            return "crashed" if extent > 64 else None
        if spec.probe.strategy == "reversible" and spec.axis == "volume":
            return "timeout" if extent == 128**3 else ("oom" if extent == 64**3 else "fits")
        return "oom" if spec.probe.network.coupling == "none" else None

    world = dataclass_replace(World(), status=status)
    return replace(fake_report(world), sensitivity=())
