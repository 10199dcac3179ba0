"""A sweep of a made-up machine, to develop and test the report against: real plan, real searches, no device.

The figures mean nothing; only their shape (plain holds every activation, checkpoint and reversible a part) is like the
real thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from membench.result import DeviceInfo, Measurement, Status
from membench.search import search
from membench.spec import ProbeSpec
from membench.store import Provenance
from membench.sweep import Plan, SweepResult, load_preset, plan
from membench.sweep.result import assemble, single
from membench.units import MIB

A100 = DeviceInfo(
    name="a100-40gb",
    kind="emulated",
    title="NVIDIA A100-PCIE-40GB",
    total_bytes=42_298_834_944,
    compute_capability="8.0",
    multiprocessors=108,
)
VERSIONS = {"membench": "0.1.0", "torch": "2.14.1+cu130", "cuda": "13.0", "cudnn": "9.24.0", "python": "3.13.1"}
DEPTH_VOLUME = (48, 48, 48)  # of the paper preset's search for the deepest network
HOLE = (184, 184, 184)  # just below what is the largest reversible volume here, so that it is probed
_KEPT = {
    "plain": 1.0,
    "checkpoint": 0.24,
    "reversible": 0.08,
    "reversible-sliced": 0.02,
    "selective": 0.5,
    "offload": 0.1,
}


@dataclass(frozen=True)
class World:
    """What the made-up machine does: wall times, and another outcome than the formula's for chosen probes."""

    seconds: float = 1.5
    outcome: Callable[[ProbeSpec], Status | None] = lambda spec: None
    device: DeviceInfo = A100

    def measure(self, spec: ProbeSpec) -> Measurement:
        peak, parameters = _memory(spec)
        budget = spec.budget or self.device.total_bytes
        status = self.outcome(spec) or ("fits" if peak <= budget else "oom")
        allocated = min(peak, budget)
        return Measurement(
            spec=spec,
            status=status,
            message="" if status == "fits" else f"the step ended with {status}",
            peak_allocated_bytes=allocated,
            peak_reserved_bytes=min(-(-peak // (20 * MIB)) * 20 * MIB, budget),
            peak_requested_bytes=allocated - allocated // 100,
            largest_workspace_bytes=256 * MIB,
            device_to_host_reads=2,
            allocator_retries=int(status == "oom"),
            modelled_calls=("cublasSgemm_v2",),
            parameters=parameters,
            device=self.device,
            versions=VERSIONS,
            seconds=self.seconds,
        )


def _memory(spec: ProbeSpec) -> tuple[int, int]:
    network, voxels = spec.network, spec.volume[0] * spec.volume[1] * spec.volume[2]
    width = 1.0 if network.coupling == "additive" else 2.1
    activations = parameters = transient = 0.0
    for stage, channels in enumerate(network.channels):
        blocks = network.blocks * 2 * _KEPT.get(spec.strategy.split(":")[0], 1.0)
        site = voxels / 8**stage * channels * 4 * width
        activations += site * (4 + blocks * (1 + 2.2 * network.expansion) / 2)
        transient = max(transient, site * 1.5 * network.expansion)
        parameters += network.blocks * 2 * width * network.expansion * channels**2 / 2
    return int(activations + transient + parameters * 16), int(parameters)


def paper_plan(**choices: object) -> Plan:
    return plan(load_preset("paper"), **choices)  # type: ignore[arg-type]


def fake_sweep(world: World = World(), swept: Plan | None = None) -> SweepResult:
    swept = swept or paper_plan()
    results = [search(spec, world.measure) for spec in swept.all_searches]
    singles = [single(world.measure(priced.probe)) for priced in swept.tradeoff]
    return assemble(swept, Provenance(device=world.device, versions=VERSIONS), results, singles)


def troubled_sweep() -> SweepResult:
    """A hole, a crash, an axis that ends, a search where nothing fits, and one that was stopped."""

    def outcome(spec: ProbeSpec) -> Status | None:
        if spec.network.coupling == "none":
            return "oom"
        if spec.strategy == "checkpoint" and spec.network.base_channels > 128:
            return "crashed"
        if spec.strategy == "reversible" and spec.volume == HOLE:
            return "oom"
        return "fits" if spec.strategy == "reversible" and spec.volume == DEPTH_VOLUME else None

    result = fake_sweep(World(outcome=outcome), replace(paper_plan(), sensitivity=()))
    stopped = replace(result.searches[-3], finished=False)
    return replace(result, searches=(*result.searches[:-3], stopped, *result.searches[-2:]))


def hostile_sweep() -> SweepResult:
    """Every text that a user or a device can choose tries to leave its place."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>${\\frac}"
    planned = paper_plan(strategies=["plain", evil])
    planned = replace(planned, title=evil, description=evil, assumptions={evil: evil})
    world = World(
        device=replace(A100, name=evil, title=evil), outcome=lambda spec: "crashed" if spec.strategy == evil else None
    )
    result = fake_sweep(world, planned)
    return replace(result, provenance=Provenance(device=world.device, versions={evil: evil}))
