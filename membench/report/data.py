"""The result of a sweep as a report shows it: numbered searches, each with its ratios and what is wrong with it."""

from collections.abc import Iterable

import msgspec

from membench.report.drift import drift_warning
from membench.result import DeviceInfo, Point, SearchResult
from membench.spec import ProbeSpec
from membench.sweep import SweepResult, extent_ratio, ratios

_AXES = ("volume", "blocks", "stages", "channels", "batch")


class BaselineRatio(msgspec.Struct, frozen=True, kw_only=True):
    """The extent of a search's largest fit over that of search ``against``; None where there is nothing to compare."""

    baseline: str
    against: int | None
    ratio: float | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One search. ``number`` counts from 1 and names it in every file; ``position`` is its place in the plan.

    ``ratios`` holds one entry for each baseline of the sweep, in its order; ``device`` is the one that was measured on.
    """

    number: int
    position: int
    search: SearchResult
    sensitivity: bool
    ratios: tuple[BaselineRatio, ...]
    device: DeviceInfo

    @property
    def axis(self) -> str:
        return self.search.search.axis

    @property
    def spec(self) -> ProbeSpec:
        return self.search.search.probe

    @property
    def variant(self) -> str:
        return self.spec.variant

    @property
    def ratio(self) -> float | None:
        """The ratio to the sweep's first baseline."""
        return self.ratios[0].ratio if self.ratios else None

    @property
    def budget(self) -> int:
        """Bytes that the probes may allocate; all that the device has where the search sets no budget."""
        return self.spec.budget or self.device.total_bytes

    @property
    def is_bound(self) -> bool:
        """Whether more than the largest fit may fit: the search ended before it found a misfit at the edge."""
        return self.search.limit_reached or not self.search.certified

    @property
    def failed(self) -> tuple[Point, ...]:
        """Probes that ended in neither a fit nor out of memory: they say nothing about memory."""
        return tuple(p for p in self.search.probes if p.measurement.status not in ("fits", "oom"))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before relying on this search."""
        found = []
        if self.search.failure is not None:
            found.append(f"stopped by a failed probe ({self.search.failure.measurement.status}), the edge is not known")
        elif not self.search.finished:
            found.append("not run to its end, the edge is not known")
        elif self.search.largest_fit is None:
            found.append("nothing that was probed fits")
        if self.search.limit_reached:
            found.append("the axis ended before memory did, the largest fit is a lower bound")
        if self.search.holes:
            found.append("probed values out of order (holes): a value does not fit although a larger one does")
        found += (f"not exact, {reason}" for reason in self.search.inexact_because)
        if self.search.largest_fit is not None and (drift := drift_warning(self.search.largest_fit)):
            found.append(drift)
        return tuple(found)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A distinct probe, the axis that its value is on, its budget in bytes, and the searches that asked for it."""

    key: str
    point: Point
    axis: str
    budget: int
    rows: tuple[Row, ...] = ()

    @property
    def variant(self) -> str:
        return self.point.measurement.spec.variant


def report_rows(result: SweepResult) -> tuple[Row, ...]:
    """Every search, by budget and then by axis in the order of the paper's claims; sensitivity searches come last.

    A plan is in the order of running, which is of no use to a reader.
    """
    order = _reading_order(result)
    numbers = {position: number for number, position in enumerate(order, 1)}
    measured = {(ratio.search, ratio.baseline): ratio for ratio in ratios(result)}

    def compared(position: int, baseline: str) -> BaselineRatio:
        search, found = result.all_searches[position], measured.get((position, baseline))
        if search.search.probe.variant == baseline:
            own = extent_ratio(search, search)
            return BaselineRatio(baseline=baseline, against=numbers[position], ratio=own)
        if found is None:
            return BaselineRatio(baseline=baseline, against=None, ratio=None)
        return BaselineRatio(baseline=baseline, against=numbers[found.against], ratio=found.ratio)

    return tuple(
        Row(
            number=numbers[position],
            position=position,
            search=result.all_searches[position],
            sensitivity=position >= len(result.searches),
            ratios=tuple(compared(position, baseline) for baseline in result.plan.baselines),
            device=result.provenance.device,
        )
        for position in order
    )


def _reading_order(result: SweepResult) -> list[int]:
    """The positions of the plan's searches as a report shows them."""
    specs = result.plan.searches
    budgets = list(dict.fromkeys(spec.probe.budget for spec in specs))
    axes = list(dict.fromkeys((*_AXES, *(spec.axis for spec in specs))))  # those of a model's own come last
    main = sorted(range(len(specs)), key=lambda n: (budgets.index(specs[n].probe.budget), axes.index(specs[n].axis)))
    return [*main, *range(len(specs), len(result.all_searches))]


def distinct_probes(rows: Iterable[Row], result: SweepResult) -> tuple[Shown, ...]:
    """Every distinct probe once, in the order of the rows, then those that no search asked for."""
    found: dict[str, Shown] = {}
    for row in rows:
        for point in row.search.probes:
            key = point.measurement.spec.key()
            shown = found.get(key) or Shown(key=key, point=point, axis=row.axis, budget=row.budget)
            found[key] = msgspec.structs.replace(shown, rows=(*shown.rows, row))
    for point in filter(None, result.tradeoff):
        spec = point.measurement.spec
        budget = spec.budget or result.provenance.device.total_bytes
        found.setdefault(spec.key(), Shown(key=spec.key(), point=point, axis="volume", budget=budget))
    return tuple(found.values())


def comparable(rows: Iterable[Row]) -> list[tuple[Row, ...]]:
    """The rows in groups that were searched alike and may stand side by side: one group for each question asked."""
    found: dict[tuple[str, int | None], tuple[Row, ...]] = {}
    for row in rows:
        question = (row.axis, row.ratios[0].against if row.ratios else None)
        found[question] = (*found.get(question, ()), row)
    return list(found.values())


def cases(rows: Iterable[Row]) -> dict[int, tuple[Row, ...]]:
    """The main searches by budget in bytes: only searches of one budget may share a figure."""
    found: dict[int, tuple[Row, ...]] = {}
    for row in rows:
        if not row.sensitivity:
            found[row.budget] = (*found.get(row.budget, ()), row)
    return found
