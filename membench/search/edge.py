"""Finding the edge of what fits: bracket, predict from measured peaks, shrink, and look at the neighbours."""

from collections.abc import Callable

from membench.result import Measurement, Point, SearchResult
from membench.search.axis import Axis, Candidate
from membench.search.predict import predict
from membench.spec import ProbeSpec, SearchSpec

# After this many guesses without an edge the model is not to be trusted: double, then halve.
GUESSES = 8
# How often the edge may move up because the value after the next one fits. Without a bound, a peak that goes up and
# down all along the axis would make the search as long as the axis.
MOVES = 3


def search(spec: SearchSpec, probe: Callable[[ProbeSpec], Measurement | None]) -> SearchResult:
    """Find the largest value that fits, and measure that the next one does not.

    ``probe`` runs one probe; None from it stops the search, and the result is not ``finished``.

    Raises:
        UsageError: the axis has no value that can be probed.
    """
    return walk(spec, lambda candidate: probe(candidate.spec))


def walk(spec: SearchSpec, measure: Callable[[Candidate], Measurement | None]) -> SearchResult:
    """The same as `search`, for a caller that needs to know more of a candidate than its probe.

    What is asked next depends on nothing but the measurements so far. The largest value that fits is also compared
    with the value below it and the one after the next; if the latter fits, the search goes on from there, at most
    `MOVES` times. On peaks that grow as the model expects, it takes at most 8 probes; on any others, a number bounded
    by the logarithm of the axis's length.
    """
    edge = _Edge(Axis(spec))
    while (index := edge.next()) is not None:
        candidate = edge.axis.at(index)
        measurement = measure(candidate)
        if measurement is None:
            return edge.result(finished=False)
        edge.points[index] = Point(value=candidate.value, extent=candidate.extent, measurement=measurement)
    return edge.result(finished=True)


class _Edge:
    """What is known: ``points`` by number, in the order in which they were measured."""

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.points: dict[int, Point] = {}
        self._step = 1
        self._guesses = 0
        self._moves = 0

    @property
    def low(self) -> int:
        """The number of the largest value that was seen to fit; 0 for none."""
        return max((index for index, point in self.points.items() if point.measurement.fits), default=0)

    @property
    def high(self) -> int | None:
        """The number of the smallest value above ``low`` that was seen not to fit."""
        low = self.low
        above = (index for index, point in self.points.items() if index > low and point.measurement.status == "oom")
        return min(above, default=None)

    @property
    def failure(self) -> Point | None:
        """The probe that said neither that it fits nor that it does not."""
        unclear = (point for point in self.points.values() if point.measurement.status not in ("fits", "oom"))
        return next(unclear, None)

    def next(self) -> int | None:
        """The number of the value to measure next; None when the search is over."""
        if not self.points:
            return self.axis.first_guess
        low, high = self.low, self.high
        if self.failure is not None or (high is None and low == self.axis.last):
            return None
        if high is not None and high - low == 1:
            return self._neighbour(low)
        self._guesses += 1
        return self._beyond(low) if high is None else self._between(low, high)

    def _neighbour(self, low: int) -> int | None:
        after = low + 2
        if after <= self.axis.last and after not in self.points and self._moves < MOVES:
            self._moves += 1
            return after
        return low - 1 if low > 1 and low - 1 not in self.points else None

    def _beyond(self, low: int) -> int:
        guess = self._guess(low, self.axis.last + 1)
        if guess is None:
            guess = 2 * low
        elif guess <= low or self._guesses > GUESSES:
            guess = low + self._stride(1)
        return min(guess, self.axis.last)

    def _between(self, low: int, high: int) -> int:
        middle = (low + high) // 2
        guess = self._guess(low, high)
        if guess is None or self._guesses > GUESSES:
            return middle
        if guess >= high:
            return max(high - self._stride(high - low), middle)
        if guess <= low:
            return min(low + self._stride(high - low), middle)
        return guess

    def _stride(self, width: int) -> int:
        """How far to go from a wrong prediction: the further, the less is known, and twice as far each time."""
        stride = self._step * max(width // 8, 1)
        self._step *= 2
        return stride

    def _guess(self, low: int, high: int) -> int | None:
        """The number of the last value that is expected to fit; None when no peak or no budget is known.

        Allocated peaks grow smoothly, while the reserved ones, which the budget limits, do not: so the former are
        extrapolated, to the share of the budget that they had of the reserved peak at ``low``. As the allocator gives
        back what it does not need before it fails, that guess is ``safe``, and all of the budget is the ``most``. The
        safe one is worth a probe where it is half the way, since only a probe that fits tells a peak.
        """
        if low == 0 or self.axis.search.axis == "stages":
            return None
        best = self.points[low].measurement
        budget = self.axis.search.probe.budget or (best.device.total_bytes if best.device else None)
        fitting = [point for point in self.points.values() if point.measurement.fits]
        peaks = [(point.extent, point.measurement.peak_allocated_bytes) for point in fitting]
        if budget is None or best.peak_reserved_bytes < 1 or min(peak for _, peak in peaks) < 1:
            return None
        share = min(1.0, best.peak_allocated_bytes / best.peak_reserved_bytes)
        # What a model of the user's makes of a value is not known: the parabola asks for less.
        quadratic = self.axis.search.axis not in ("volume", "blocks", "batch")
        safe, most = (
            self.axis.index_at(predict(peaks, limit, quadratic=quadratic)) for limit in (budget * share, budget)
        )
        return safe if 2 * (safe - low) >= min(most, high) - low else most

    def result(self, *, finished: bool) -> SearchResult:
        low, high = self.low, self.high
        holes = sorted(
            index for index, point in self.points.items() if index < low and point.measurement.status == "oom"
        )
        return SearchResult(
            search=self.axis.search,
            largest_fit=self.points.get(low),
            smallest_unfit=None if high is None else self.points[high],
            limit_reached=low == self.axis.last,
            holes=tuple(self.points[index].value for index in holes),
            probes=tuple(self.points.values()),
            failure=self.failure,
            finished=finished,
        )
