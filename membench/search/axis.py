"""The values of one search, numbered 1, 2, 3, …: what to run for each, and how much of the quantity it is."""

import bisect
import math

import msgspec

from membench.errors import UsageError
from membench.result import AxisValue
from membench.spec import AUTO, ProbeSpec, SearchSpec, Volume

# Where an axis ends when the search sets no limit: beyond what any device holds, so that every search terminates.
ENDS = {"volume": 4096, "stages": 12, "blocks": 4096, "channels": 65536, "batch": 65536}
END = 1 << 24


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One value of an axis: its number, the probe that has it put in, and its extent in the axis's quantity."""

    index: int
    spec: ProbeSpec
    value: AxisValue
    extent: int


class Axis:
    """The values of ``search``, from ``at(1)`` to ``at(last)``; extents grow strictly with the number.

    ``first_guess`` is the number to probe first.

    Raises:
        UsageError: the network does not have the axis; it, the shape, the start or the limit leave no value that can be
            probed; or the strategy is not one to search with.
    """

    def __init__(self, search: SearchSpec) -> None:
        self.search = search
        if search.probe.strategy == AUTO:
            raise UsageError(
                "the strategy auto is chosen for one probe, by membench measure or recommend; search with a named one"
            )
        if min(search.ratio) < 1:
            raise UsageError(f"volume ratio must be three positive numbers, not {search.ratio}")
        _check_axis(search)
        self._unit = search.multiple or search.probe.network.axis_step(search.axis)
        limit = _end(search) if search.limit is None else min(search.limit, _end(search))
        self.last = limit // self._unit
        if self.last < 1:
            raise UsageError(f"the limit of {limit} on axis {search.axis} is below its first value, {self._unit}")
        start = search.probe.network.axis_start(search.axis) if search.start is None else search.start
        if start < 1:
            raise UsageError(f"the start on axis {search.axis} must be at least 1, not {start}")
        self.first_guess = min(max(start // self._unit, 1), self.last)
        self.at(1).spec.validate()

    def at(self, index: int) -> Candidate:
        """The value with this number, 1 to ``last``."""
        probe, amount = self.search.probe, index * self._unit
        value: AxisValue = amount
        match self.search.axis:
            case "volume":
                value = self._volume(index)
                spec = msgspec.structs.replace(probe, volume=value)
            case "batch":
                spec = msgspec.structs.replace(probe, batch=amount)
            case name:
                spec = msgspec.structs.replace(probe, network=probe.network.along(name, amount))
        return Candidate(index=index, spec=spec, value=value, extent=self.extent(index))

    def extent(self, index: int) -> int:
        """How much of the axis's quantity the value is: voxels, stages, blocks, base channels, or samples."""
        return math.prod(self._volume(index)) if self.search.axis == "volume" else index * self._unit

    def index_at(self, extent: float) -> int:
        """The number of the largest value whose extent is not above ``extent``; 0 when there is none."""
        return bisect.bisect_right(range(1, self.last + 1), extent, key=self.extent)

    def _volume(self, index: int) -> Volume:
        longest = max(self.search.ratio)
        depth, height, width = (-(-index * part // longest) * self._unit for part in self.search.ratio)
        return depth, height, width


def _check_axis(search: SearchSpec) -> None:
    axes = search.probe.network.axes
    if search.axis not in axes:
        raise UsageError(
            f"there is no axis {search.axis}; this network has {', '.join(axes)}"
            if axes
            else f"to search axis {search.axis}, put {{{search.axis}}} in a shape or an argument of the model"
        )
    if search.multiple is not None and search.multiple < 1:
        raise UsageError(f"the values on axis {search.axis} must be multiples of at least 1, not {search.multiple}")


def _end(search: SearchSpec) -> int:
    end, probe = ENDS.get(search.axis, END), search.probe
    own = probe.network.axis_end(search.axis, probe.volume)
    return end if own is None else min(end, own)
