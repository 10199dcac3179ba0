"""A sweep on disk: the plan beside its measurements, from which its result is rebuilt without a device."""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from membench.errors import MembenchError
from membench.html import card, table
from membench.result import Measurement, Point, SearchResult
from membench.search import search
from membench.spec import ProbeSpec
from membench.store import Provenance, decode, read_records, write_whole
from membench.sweep.plan import Plan
from membench.units import format_bytes

SWEEP = "sweep.json"


class SweepFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``sweep.json``: what is swept, and where the measurements that count come from."""

    plan: Plan
    provenance: Provenance


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """All searches of a plan in its order; those that were not run to their end say so.

    ``tradeoff`` are the plan's single probes in its order; None for those that were not run.
    """

    plan: Plan
    provenance: Provenance
    searches: tuple[SearchResult, ...]
    sensitivity: tuple[SearchResult, ...]
    tradeoff: tuple[Point | None, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def all_searches(self) -> tuple[SearchResult, ...]:
        return self.searches + self.sensitivity

    def _repr_html_(self) -> str:
        """What a notebook shows: every search by its edge, and what became of the claims."""
        from membench.sweep.claims import claims

        searches = ((_named(each), *each.edge, each.peak, str(len(each.probes))) for each in self.all_searches)
        found = (
            (each.claim, f"{each.paper_ratio:g}×", f"{each.measured_ratio:.2f}×" if each.measured_ratio else "–",
             "reproduced" if each.reproduced else "not reproduced")
            for each in claims(self)
        )  # fmt: skip
        device = self.provenance.device
        facts = [("Device", f"{device.title}, {device.kind}"), ("Complete", "yes" if self.complete else "no")]
        return card(
            self.plan.title,
            [*facts, *(("Notice", notice) for notice in self.notices)],
            table(("Search", "Largest that fits", "Smallest that does not", "Peak reserved", "Probes"), searches),
            table(("Claim", "Paper", "Measured", "Verdict"), found) if self.plan.claims else "",
        )

    @property
    def complete(self) -> bool:
        """Whether every search was run to its end, be it a failure, and every single probe was run."""
        return all(search.finished for search in self.all_searches) and None not in self.tradeoff

    @property
    def failed(self) -> bool:
        """Whether a probe said neither that it fits nor that it does not."""
        singles = (point.measurement.status for point in self.tradeoff if point)
        return any(search.failure for search in self.all_searches) or not {"fits", "oom"}.issuperset(singles)


def _named(search: SearchResult) -> str:
    budget = search.search.probe.budget
    return f"{search.search.axis}, {search.search.probe.variant}" + (f", {format_bytes(budget)}" if budget else "")


def save(folder: Path, plan: Plan, provenance: Provenance) -> None:
    """Write ``sweep.json``.

    Raises:
        MembenchError: it cannot be written.
    """
    content = msgspec.json.encode(SweepFile(plan=plan, provenance=provenance), order="deterministic")
    write_whole(folder / SWEEP, msgspec.json.format(content) + b"\n")


def load(folder: Path) -> SweepResult:
    """The result of a sweep from its folder: its searches again, answered by the stored measurements.

    Searches of a sweep that was stopped, or is still running, are not ``finished``.

    Raises:
        MembenchError: there is no sweep in the folder, or it cannot be read.
    """
    try:
        file = decode((folder / SWEEP).read_bytes(), SweepFile)
    except FileNotFoundError:
        raise MembenchError(f"there is no sweep in {folder}: {SWEEP} is missing") from None
    except OSError as error:
        raise MembenchError(f"cannot read {folder / SWEEP}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise MembenchError(
            f"{folder / SWEEP} is damaged ({error}); run the sweep again, its results are kept"
        ) from None
    records, notices = read_records(folder)

    def stored(spec: ProbeSpec) -> Measurement | None:
        return records.get(spec, file.provenance)

    searches = [search(spec, stored) for spec in file.plan.all_searches]
    measured = [stored(priced.probe) for priced in file.plan.tradeoff]
    singles = [single(measurement) if measurement else None for measurement in measured]
    return assemble(file.plan, file.provenance, searches, singles, notices)


def single(measurement: Measurement) -> Point:
    """A probe that no search asked for, as a point of the volume axis."""
    volume = measurement.spec.volume
    return Point(value=volume, extent=math.prod(volume), measurement=measurement)


def assemble(
    plan: Plan,
    provenance: Provenance,
    results: Sequence[SearchResult],
    singles: Sequence[Point | None] = (),
    notices: tuple[str, ...] = (),
) -> SweepResult:
    """The result of a plan from the results of all its searches and single probes, in the plan's order."""
    main = len(plan.searches)
    return SweepResult(
        plan=plan,
        provenance=provenance,
        searches=tuple(results[:main]),
        sensitivity=tuple(results[main:]),
        tradeoff=tuple(singles),
        notices=notices,
    )
