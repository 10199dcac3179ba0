"""What a report is made of, and each search beside the non-reversible searches that it is compared with."""

from collections.abc import Iterable, Mapping

import msgspec

from membench.result import Claim, DeviceInfo, Measurement, Point, SearchResult
from membench.spec import ProbeSpec, SearchSpec

PLAIN = "plain"
UNCOUPLED = "plain (uncoupled)"


class ReportData(msgspec.Struct, frozen=True, kw_only=True):
    """Finished searches in the order of the plan, and what a reader must know about them.

    ``sensitivity`` holds searches that differ from one of ``searches`` in one field of the probe (the budget, the
    expansion factor, …); the field is found by comparing. ``assumptions`` maps a hyper-parameter to the reason for
    its value. ``notices`` are sentences that the reader must see before the figures.
    """

    title: str
    description: str = ""
    assumptions: Mapping[str, str] = {}
    searches: tuple[SearchResult, ...]
    claims: tuple[Claim, ...] = ()
    sensitivity: tuple[SearchResult, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def all_searches(self) -> tuple[SearchResult, ...]:
        return self.searches + self.sensitivity

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Every distinct probe once, in the order of the plan."""
        found = {point.measurement.spec.key(): point.measurement for s in self.all_searches for point in s.probes}
        return tuple(found.values())

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        return tuple(dict.fromkeys(m.device for m in self.measurements if m.device is not None))

    @property
    def versions(self) -> tuple[dict[str, str], ...]:
        """The distinct sets of versions that the probes ran on: one, unless results of two machines are mixed."""
        distinct = {tuple(sorted(m.versions.items())): m.versions for m in self.measurements if m.versions}
        return tuple(distinct[key] for key in sorted(distinct))


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One search with its ratios: extent of its largest fit over that of the plain search it is comparable with.

    ``number`` counts from 1 in the order of the plan and names the search in every file. A ratio is None when either
    search found nothing that fits or no edge, or when there is no comparable search.
    """

    number: int
    search: SearchResult
    sensitivity: bool
    ratio_to_plain: float | None
    ratio_to_uncoupled: float | None

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
    def device(self) -> DeviceInfo | None:
        return next((point.measurement.device for point in self.search.probes if point.measurement.device), None)

    @property
    def budget(self) -> int | None:
        """Bytes that the probes may allocate; all that the device has where the search sets no budget."""
        if self.spec.budget is not None or self.device is None:
            return self.spec.budget
        return self.device.total_bytes

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
            found.append(f"stopped by a failed probe ({self.search.failure.measurement.status}): the edge is not known")
        elif not self.search.finished:
            found.append("not finished: the edge is not known")
        elif self.search.largest_fit is None:
            found.append("nothing that was probed fits")
        if self.search.limit_reached:
            found.append("the axis ended before memory did: the largest fit is a lower bound")
        if self.search.holes:
            found.append(f"{len(self.search.holes)} probed value(s) break the order of fits and misfits")
        return tuple(found)


def report_rows(data: ReportData) -> tuple[Row, ...]:
    """Every search of the report in the order of the plan, the sensitivity searches last."""
    baselines: dict[tuple[SearchSpec, str], SearchResult] = {}
    for search in data.all_searches:
        baselines.setdefault((_comparison(search), search.search.probe.variant), search)

    def ratio(search: SearchResult, variant: str) -> float | None:
        return extent_ratio(search, baselines.get((_comparison(search), variant)))

    return tuple(
        Row(
            number=number,
            search=search,
            sensitivity=number > len(data.searches),
            ratio_to_plain=ratio(search, PLAIN),
            ratio_to_uncoupled=ratio(search, UNCOUPLED),
        )
        for number, search in enumerate(data.all_searches, 1)
    )


def extent_ratio(candidate: SearchResult, reference: SearchResult | None) -> float | None:
    """Extent of the candidate's largest fit over the reference's; None when either is missing or only a bound."""
    if reference is None or not (reference.certified and candidate.certified):
        return None
    if reference.largest_fit is None or candidate.largest_fit is None:
        return None
    return candidate.largest_fit.extent / reference.largest_fit.extent


def cases(rows: Iterable[Row]) -> dict[tuple[str, int | None], tuple[Row, ...]]:
    """The main searches by device and budget: only searches of one case may share a figure."""
    found: dict[tuple[str, int | None], tuple[Row, ...]] = {}
    for row in rows:
        if not row.sensitivity:
            case = (row.spec.device, row.budget)
            found[case] = (*found.get(case, ()), row)
    return found


def _comparison(search: SearchResult) -> SearchSpec:
    """What two searches must share to be compared: all but strategy, coupling and where the search began and ended."""
    spec = search.search
    network = msgspec.structs.replace(spec.probe.network, coupling="additive")
    probe = msgspec.structs.replace(spec.probe, network=network, strategy=PLAIN)
    return msgspec.structs.replace(spec, probe=probe, start=None, limit=None)
