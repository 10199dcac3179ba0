"""A sweep on disk: the plan beside its measurements, from which its result is rebuilt without a device."""

from pathlib import Path

import msgspec

from membench.errors import MembenchError
from membench.result import Measurement, SearchResult
from membench.search import search
from membench.spec import ProbeSpec
from membench.store import Provenance, read_records, write_whole
from membench.sweep.plan import Plan

SWEEP = "sweep.json"


class SweepFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``sweep.json``: what is swept, and where the measurements that count come from."""

    plan: Plan
    provenance: Provenance


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """All searches of a plan in its order; those that were not run to their end say so."""

    plan: Plan
    provenance: Provenance
    searches: tuple[SearchResult, ...]
    sensitivity: tuple[SearchResult, ...]
    notices: tuple[str, ...] = ()

    @property
    def all_searches(self) -> tuple[SearchResult, ...]:
        return self.searches + self.sensitivity

    @property
    def complete(self) -> bool:
        """Whether every search was run to its end, be it a failure."""
        return all(search.finished for search in self.all_searches)


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
        file = msgspec.json.decode((folder / SWEEP).read_bytes(), type=SweepFile)
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

    return assemble(file.plan, file.provenance, [search(spec, stored) for spec in file.plan.all_searches], notices)


def assemble(
    plan: Plan, provenance: Provenance, results: list[SearchResult], notices: tuple[str, ...] = ()
) -> SweepResult:
    """The result of a plan from the results of all its searches, in the plan's order."""
    main = len(plan.searches)
    return SweepResult(
        plan=plan,
        provenance=provenance,
        searches=tuple(results[:main]),
        sensitivity=tuple(results[main:]),
        notices=notices,
    )
