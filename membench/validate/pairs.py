"""The same probes on a real GPU and on the emulated card of its kind, and the error of the emulated one by cause."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from membench.device import Device, catalog
from membench.errors import UsageError
from membench.probe import Prober
from membench.profile import Analysis
from membench.result import DeviceInfo, Measurement
from membench.snapshot import read_snapshot
from membench.spec import NetworkSpec, ProbeSpec
from membench.validate.context import Context

FORMAT = 1
CAUSES = ("tensors", "workspace", "fragmentation")
_SMALL = NetworkSpec(base_channels=16, stages=3, blocks=1)
_FULL_CONVOLUTIONS = msgspec.structs.replace(_SMALL, block="conv", coupling="none", skip="concat", norm="instance")
# Between them: depthwise and full convolutions, each precision, the ways of keeping activations, and optimizers. They
# fit any card of the catalog, and are the same everywhere, so that what is contributed can be compared.
PROBES: dict[str, ProbeSpec] = {
    name: msgspec.structs.replace(probe, volume=(64, 64, 64))
    for name, probe in {
        "mbconv plain": ProbeSpec(network=_SMALL, strategy="plain"),
        "mbconv reversible": ProbeSpec(network=_SMALL, strategy="reversible"),
        "mbconv sliced bf16": ProbeSpec(network=_SMALL, strategy="reversible-sliced", precision="bf16"),
        "mbconv checkpoint fp16": ProbeSpec(network=_SMALL, strategy="checkpoint", precision="fp16"),
        "conv plain": ProbeSpec(network=_FULL_CONVOLUTIONS, strategy="plain", optimizer="sgd"),
        "conv plain bf16 batch 2": ProbeSpec(
            network=_FULL_CONVOLUTIONS, strategy="plain", precision="bf16", batch=2, optimizer="adamw"
        ),
    }.items()
}


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A probe on one device. ``workspace_bytes`` is what library calls held for themselves at the peak allocated.

    None where the recorded probe did not live to tell.
    """

    measurement: Measurement
    workspace_bytes: int | None = None

    def bytes_of(self, cause: str) -> int | None:
        """A part of the peak: ``tensors`` and ``workspace`` make up what is allocated, ``fragmentation`` the rest."""
        found, workspace = self.measurement, self.workspace_bytes
        if cause == "workspace":
            return workspace
        if cause == "fragmentation":
            return found.peak_reserved_bytes - found.peak_allocated_bytes
        return None if workspace is None else found.peak_allocated_bytes - workspace


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One probe, real and emulated."""

    name: str
    real: Side
    emulated: Side

    @property
    def agrees(self) -> bool:
        return self.real.measurement.status == self.emulated.measurement.status

    def error_percent(self, counter: str) -> float | None:
        """By how much the emulated peak (``allocated`` or ``reserved``) is off, in percent of the real one."""
        real, emulated = (getattr(side.measurement, f"peak_{counter}_bytes") for side in (self.real, self.emulated))
        return 100 * (emulated / real - 1) if real else None

    def error_bytes(self, cause: str) -> int | None:
        """The part of the error that a cause has, emulated less real; None where it is not known."""
        real, emulated = self.real.bytes_of(cause), self.emulated.bytes_of(cause)
        return None if real is None or emulated is None else emulated - real


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What is written for others: the pairs, and all that they depend on."""

    format: int = FORMAT
    real: DeviceInfo
    emulated: DeviceInfo
    real_context: Context
    emulated_context: Context
    versions: dict[str, str]
    pairs: tuple[Pair, ...]

    @property
    def context_error_bytes(self) -> int:
        return self.emulated_context.held_bytes - self.real_context.held_bytes

    @property
    def agrees(self) -> bool:
        """Whether every probe ended alike on both devices, with a fit or out of memory."""
        return all(pair.agrees and pair.real.measurement.status in ("fits", "oom") for pair in self.pairs)


def card_of(device: Device) -> str:
    """The card of the catalog that a real GPU is; of several of one name, the one with the nearest memory.

    Raises:
        UsageError: the catalog has no card of the GPU's name.
    """
    named = {name: card for name, card in catalog().items() if card.name == device.info.title}
    if not named:
        raise UsageError(
            f"the catalog has no {device.info.title}; name the card that it is with --emulated, "
            "or describe it in a --device-file (membench devices --template)"
        )
    return min(named, key=lambda name: abs(named[name].total_bytes - device.info.total_bytes))


def chosen_probes(names: Sequence[str]) -> dict[str, ProbeSpec]:
    """The probes of these names; all, if there are none.

    Raises:
        UsageError: a name is not known.
    """
    for name in names:
        if name not in PROBES:
            raise UsageError(f"there is no probe {name!r}; there are {', '.join(PROBES)}")
    return {name: PROBES[name] for name in dict.fromkeys(names or PROBES)}


def pairs(probes: dict[str, ProbeSpec], real: Device, emulated: Device, tell: Callable[[str], None]) -> Iterator[Pair]:
    """Run the probes on both devices; ``tell`` is told what is under way.

    Raises:
        MembenchError: a prober does not start.
    """
    with Prober(real) as theirs, Prober(emulated) as ours:
        for name, probe in probes.items():
            tell(name)
            yield Pair(name=name, real=_side(probe, theirs), emulated=_side(probe, ours))


def _side(probe: ProbeSpec, prober: Prober) -> Side:
    spec = msgspec.structs.replace(probe, device=prober.device.info.name)
    measurement = prober(spec)
    if not measurement.fits:
        return Side(measurement=measurement)
    # Recording may change what it records, so the peaks are those of a probe that was not.
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder) / "snapshot.pickle"
        recorded = prober.record(spec, snapshot)
        if not recorded.fits or not snapshot.exists():
            return Side(measurement=measurement)
        held = Analysis(read_snapshot(snapshot)).profile.peak.categories
    return Side(measurement=measurement, workspace_bytes=held["workspace"])
