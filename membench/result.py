"""Frozen records of what came out: a measurement, a search with its certificate, a claim."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from membench.html import card, table
from membench.spec import ProbeSpec, SearchSpec
from membench.units import format_bytes, format_volume

Status = Literal["fits", "oom", "error", "timeout", "crashed"]
DeviceKind = Literal["emulated", "real"]
ClaimName = Literal["volume", "depth", "channels"]
AxisValue = int | tuple[int, int, int]
STATUS_WORDS: dict[Status, str] = {
    "fits": "fits",
    "oom": "out of memory",
    "error": "error",
    "timeout": "timed out",
    "crashed": "crashed",
}


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The device that a measurement was made on. ``total_bytes`` is what the CUDA runtime reports as its memory."""

    name: str
    kind: DeviceKind
    title: str
    total_bytes: int
    compute_capability: str
    multiprocessors: int


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One probe. Peaks are over all measured steps, in bytes, as `torch.cuda.memory_stats` counts them.

    ``workspace_retries`` counts cuDNN plans given up because their workspace did not fit, ``device_to_host_reads``
    the copies from the device in the measured steps (on an emulated device they read zeros), ``modelled_calls`` the
    library calls answered by a model of membench's instead of by the library; a real device tells neither the reads nor
    the largest workspace, which are None there. ``host_bytes`` is the peak of pinned host memory in the blocks, powers
    of two, that PyTorch asks CUDA for (``torch.cuda.host_memory_stats``); None where CUDA was never begun.
    ``exact`` says whether the same step on a real card of this kind comes to the same peaks, as far as can be known:
    False for the reasons in ``inexact_because``, None where the probe ended in an error. ``sensitivities`` names the
    settings with which the peaks could be others.
    ``parameters`` is 0 where the network was not built. ``seconds`` is the wall time of the whole probe and the only
    field that differs between two runs on an emulated device.
    """

    spec: ProbeSpec
    status: Status
    message: str = ""
    peak_allocated_bytes: int = 0
    peak_reserved_bytes: int = 0
    peak_requested_bytes: int = 0
    largest_workspace_bytes: int | None = None
    host_bytes: int | None = None
    allocator_retries: int = 0
    workspace_retries: int = 0
    device_to_host_reads: int | None = None
    unmodelled_calls: tuple[str, ...] = ()
    modelled_calls: tuple[str, ...] = ()
    exact: bool | None = None
    inexact_because: tuple[str, ...] = ()
    sensitivities: tuple[str, ...] = ()
    parameters: int = 0
    device: DeviceInfo | None = None
    versions: dict[str, str] = {}
    seconds: float = 0.0

    @property
    def fits(self) -> bool:
        return self.status == "fits"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        spec = self.spec
        return card(f"{spec.variant}, {spec.network.size_words(spec.volume, spec.batch)}", self._facts())

    def _facts(self) -> Iterator[tuple[str, str]]:
        spec, device = self.spec, self.device
        yield "Verdict", STATUS_WORDS[self.status]
        yield "Message", self.message
        for name in ("reserved", "allocated", "requested"):
            count: int = getattr(self, f"peak_{name}_bytes")
            yield f"Peak {name}", f"{format_bytes(count)} ({count:,} bytes)" if count else ""
        yield "Not exact", "; ".join(self.inexact_because)
        yield "Budget", format_bytes(spec.budget) if spec.budget else "all of the device"
        yield "Network", spec.network.words + (f", {self.parameters:,} parameters" if self.parameters else "")
        if device:
            yield "Device", f"{device.title}, {device.kind}, {format_bytes(device.total_bytes)}"
        yield "Versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A value on an axis, how much of the axis's quantity it is (voxels, blocks, channels, …), and its measurement."""

    value: AxisValue
    extent: int
    measurement: Measurement

    @property
    def text(self) -> str:
        """The value as the command line reads it: ``128x128x160``, or a whole number."""
        return format_volume(self.value) if isinstance(self.value, tuple) else str(self.value)


def _peak(point: Point | None) -> str:
    """The peak reserved; of a probe that did not fit it says only how far that got, and is left out."""
    return format_bytes(point.measurement.peak_reserved_bytes) if point and point.measurement.fits else "–"


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of a search: the largest value that fits and the smallest that does not, both measured.

    ``largest_fit`` is None when nothing fits; ``smallest_unfit`` is None when the axis ended before memory did
    (``limit_reached``). ``holes`` are values that do not fit although a larger one does, or the reverse of it next to
    the edge. ``probes`` are in the order in which they were asked for.

    A probe that ended with anything but ``fits`` or ``oom`` ends the search and is its ``failure``. A search that was
    stopped, or rebuilt from too few results, is not ``finished``. In both cases the two points are only bounds.
    """

    search: SearchSpec
    largest_fit: Point | None
    smallest_unfit: Point | None
    limit_reached: bool
    holes: tuple[AxisValue, ...]
    probes: tuple[Point, ...]
    failure: Point | None = None
    finished: bool = True

    @property
    def certified(self) -> bool:
        """Whether the two points are the edge itself, and not merely bounds of it."""
        return self.finished and self.failure is None

    @property
    def inexact_because(self) -> tuple[str, ...]:
        """Why a real card could have another edge: the reasons of the two points that make it, each once."""
        points = [point for point in (self.largest_fit, self.smallest_unfit) if point]
        return tuple(dict.fromkeys(reason for point in points for reason in point.measurement.inexact_because))

    @property
    def edge(self) -> tuple[str, str]:
        """The largest value that fits, marked where more may fit, and the smallest that does not; dashes for none."""
        bound = "≥ " if self.limit_reached or not self.certified else ""
        fit, unfit = self.largest_fit, self.smallest_unfit
        return f"{bound}{fit.text}" if fit else "–", unfit.text if unfit else "–"

    @property
    def peak(self) -> str:
        """The peak reserved of the largest value that fits, for people."""
        return _peak(self.largest_fit)

    def _repr_html_(self) -> str:
        """What a notebook shows: the certificate, and all probes along the axis."""
        probe = self.search.probe
        facts = [
            *zip(("Largest that fits", "Smallest that does not"), self.edge, strict=True),
            ("Stopped by", self.failure.measurement.message if self.failure else ""),
            ("Not exact", "; ".join(self.inexact_because)),
            ("Network", probe.network.words),
            ("Device", probe.device),
            ("Budget", format_bytes(probe.budget) if probe.budget else "all of the device"),
        ]
        probes = sorted(self.probes, key=lambda point: point.extent)
        rows = ((point.text, STATUS_WORDS[point.measurement.status], _peak(point)) for point in probes)
        title = f"{self.search.axis}, {probe.variant}"
        return card(title, facts, table((self.search.axis, "Verdict", "Peak reserved"), rows))


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim of the paper beside what was measured: ``measured_ratio`` is ``candidate`` over ``reference``.

    The ratio compares extents (voxels, blocks, channels) of the largest values that fit; None when either is missing.
    """

    claim: ClaimName
    paper_ratio: float
    measured_ratio: float | None
    reproduced: bool
    reference: SearchResult
    candidate: SearchResult
