"""Frozen records of what came out: a measurement, a search with its certificate, a claim."""

from typing import Literal

import msgspec

from membench.spec import ProbeSpec, SearchSpec

Status = Literal["fits", "oom", "error", "timeout", "crashed"]
DeviceKind = Literal["emulated", "real"]
ClaimName = Literal["volume", "depth", "channels"]
AxisValue = int | tuple[int, int, int]


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
    False for the reasons in ``inexact_because``, None where the probe did not live to tell. ``sensitivities`` names the
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


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A value on an axis, how much of the axis's quantity it is (voxels, blocks, channels, …), and its measurement."""

    value: AxisValue
    extent: int
    measurement: Measurement


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
