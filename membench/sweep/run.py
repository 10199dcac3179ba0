"""Running a plan: its searches side by side, each probe on disk before the next decision rests on it."""

import math
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import msgspec

from membench.errors import UsageError
from membench.result import Measurement, Point, SearchResult
from membench.search import Candidate, walk
from membench.spec import ProbeSpec, SearchSpec
from membench.store import Provenance, Store
from membench.sweep.plan import Plan
from membench.sweep.result import SweepResult, assemble, save
from membench.workers import at_work

Probe = Callable[[ProbeSpec], Measurement]
# Leaving it, from any thread, must end the probe that is under way and let no other start.
OpenProbe = Callable[[], AbstractContextManager[Probe]]
DECIDED = ("fits", "oom")


class SearchStarted(msgspec.Struct, frozen=True, kw_only=True):
    """``position`` is the search's place in ``Plan.all_searches``, here and in the other events.

    Single probes have the places after them, in the order of ``Plan.tradeoff``; all that is told of one is that it
    started and finished.
    """

    position: int
    search: SearchSpec


class ProbeStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A probe is about to run; probes that are answered from the store do not start."""

    position: int
    candidate: Candidate


class ProbeFinished(msgspec.Struct, frozen=True, kw_only=True):
    """A probe was answered; ``reused`` when by an earlier measurement."""

    position: int
    point: Point
    reused: bool


class SearchFinished(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    result: SearchResult


Event = SearchStarted | ProbeStarted | ProbeFinished | SearchFinished


def run(
    plan: Plan,
    store: Store,
    provenance: Provenance,
    open_probe: OpenProbe,
    *,
    jobs: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
) -> SweepResult:
    """Run all searches of a plan, ``jobs`` at a time, each worker with a probe of its own.

    Measurements that fit or are out of memory are reused from the store where the provenance is the same; a probe
    that failed is tried again. ``on_event`` is called from the calling thread only. Neither the set of probes nor the
    result depends on ``jobs`` or on which worker is faster. On KeyboardInterrupt, and on any error, the probes
    under way are ended, all that was measured is on disk, the workers are gone, and the exception is raised again.

    Raises:
        MembenchError: the results cannot be written.
        UsageError: there are no jobs.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, not {jobs}")
    save(store.folder, plan, provenance)
    crew = _Crew(plan, store, provenance, open_probe)
    main, tasks = len(plan.all_searches), len(plan.all_searches) + len(plan.tradeoff)
    results: dict[int, SearchResult] = {}
    singles: dict[int, Point] = {}
    with at_work(crew.work, min(jobs, tasks), crew.abort):
        while len(results) + len(singles) < tasks:
            event = crew.events.get()
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, SearchFinished):
                results[event.position] = event.result
            elif isinstance(event, ProbeFinished) and event.position >= main:
                singles[event.position] = event.point
            on_event(event)
    in_order = [results[position] for position in range(main)]
    return assemble(plan, provenance, in_order, [singles[place] for place in range(main, tasks)], store.notices)


class _Crew:
    """What the workers share."""

    def __init__(self, plan: Plan, store: Store, provenance: Provenance, open_probe: OpenProbe) -> None:
        self.events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self._stacks: list[ExitStack] = []
        self._store = store
        self._provenance = provenance
        self._open_probe = open_probe
        self._todo: queue.SimpleQueue[tuple[int, SearchSpec | ProbeSpec]] = queue.SimpleQueue()
        tasks: list[SearchSpec | ProbeSpec] = [*plan.all_searches, *(priced.probe for priced in plan.tradeoff)]
        for item in enumerate(tasks):
            self._todo.put(item)
        self._running: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def work(self) -> None:
        """One worker, until nothing is left to do. Its probe is opened when a probe has to run, not before."""
        try:
            with ExitStack() as stack:
                self._stacks.append(stack)
                worker = _Worker(self, stack)
                while not self.stopped.is_set():
                    position, task = self._todo.get_nowait()
                    if isinstance(task, SearchSpec):
                        worker.search(position, task)
                    else:
                        worker.single(position, task)
        except queue.Empty:
            return
        except BaseException as error:
            self.events.put(error)

    def abort(self) -> None:
        """End the probes under way and let the workers run out."""
        self.stopped.set()
        for stack in self._stacks:
            stack.close()

    def known(self, spec: ProbeSpec) -> Measurement | None:
        measurement = self._store.get(spec, self._provenance)
        return measurement if measurement is not None and measurement.status in DECIDED else None

    @contextmanager
    def alone(self, spec: ProbeSpec) -> Iterator[None]:
        """Two searches that come to the same probe must not both run it."""
        with self._guard:
            lock = self._running[spec.key()]
        with lock:
            yield

    def open(self, stack: ExitStack) -> Probe:
        return stack.enter_context(self._open_probe())

    def keep(self, measurement: Measurement) -> None:
        self._store.put(measurement)


class _Worker:
    def __init__(self, crew: _Crew, stack: ExitStack) -> None:
        self._crew = crew
        self._stack = stack
        self._probe: Probe | None = None

    def search(self, position: int, search: SearchSpec) -> None:
        self._crew.events.put(SearchStarted(position=position, search=search))
        result = walk(search, lambda candidate: self._answer(position, candidate))
        if result.finished:
            self._crew.events.put(SearchFinished(position=position, result=result))

    def single(self, position: int, spec: ProbeSpec) -> None:
        # The value and the extent of a probe that is on no axis are those of its volume.
        self._answer(position, Candidate(index=1, spec=spec, value=spec.volume, extent=math.prod(spec.volume)))

    def _answer(self, position: int, candidate: Candidate) -> Measurement | None:
        with self._crew.alone(candidate.spec):
            measurement = self._crew.known(candidate.spec)
            reused = measurement is not None
            if measurement is None:
                if self._crew.stopped.is_set():
                    return None
                self._crew.events.put(ProbeStarted(position=position, candidate=candidate))
                measurement = self._measure(candidate.spec)
                if measurement is None:
                    return None
        point = Point(value=candidate.value, extent=candidate.extent, measurement=measurement)
        self._crew.events.put(ProbeFinished(position=position, point=point, reused=reused))
        return measurement

    def _measure(self, spec: ProbeSpec) -> Measurement | None:
        if self._probe is None:
            self._probe = self._crew.open(self._stack)
            if self._crew.stopped.is_set():
                return None  # it may have been opened too late to be ended
        measurement = self._probe(spec)
        if self._crew.stopped.is_set() and measurement.status not in DECIDED:
            return None  # it was ended, and did not fail
        self._crew.keep(measurement)
        return measurement
