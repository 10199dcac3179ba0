"""The display of searches under way: a line for each that ended, and on a terminal one that moves for each that runs.

Imports the report's words, which load pandas: import it inside a command.
"""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from membench.report.words import axis_title, pretty_value, short_bytes
from membench.result import Point, SearchResult
from membench.spec import ProbeSpec, SearchSpec
from membench.sweep import Event, ProbeFinished, ProbeStarted, SearchFinished, SearchStarted
from membench.units import format_bytes


class Display:
    """Shows the events of searches, and after them of single probes, which are known by their position in ``searches``
    and ``singles``. A context manager; callable.
    """

    def __init__(self, console: Console, searches: Sequence[SearchSpec], singles: Sequence[ProbeSpec] = ()) -> None:
        self._console = console
        self._names = [*search_names(searches), *(f"Trade-off, {probe.variant}" for probe in singles)]
        self._singles = range(len(searches), len(self._names))
        self._running: dict[int, _Running] = {}
        self._measured = self._reused = 0
        self._bar = Progress(
            BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
        )
        self._total = self._bar.add_task("searches", total=len(self._names))
        # Rich's own refreshing thread and a print at the same moment can both move the cursor: one lock is for both.
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._update()
        if self._live:
            self._live.start()
            self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._live:
            self._ticker.join()
            self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._take(event)
            self._update()
            if isinstance(event, SearchFinished):
                line = ending(self._names[event.position], event.result)
                self._console.print(line, soft_wrap=not self._live)
            elif isinstance(event, ProbeFinished) and event.position in self._singles:
                line = outcome(self._names[event.position], event.point)
                self._console.print(line, soft_wrap=not self._live)

    def _tick(self) -> None:
        while self._live and not self._ended.wait(0.1):
            with self._lock:
                self._live.refresh()

    def _take(self, event: Event) -> None:
        match event:
            case SearchStarted():
                self._running[event.position] = _Running(self._names[event.position])
            case ProbeStarted():
                running = self._running.setdefault(event.position, _Running(self._names[event.position]))
                running.value = pretty_value(event.candidate.value)
            case ProbeFinished():
                self._reused += event.reused
                self._measured += not event.reused
                if event.position in self._singles:
                    self._end(event.position)
                else:
                    self._running[event.position].add(event.point)
            case SearchFinished():
                self._end(event.position)

    def _end(self, position: int) -> None:
        self._running.pop(position, None)
        self._bar.advance(self._total)

    def _update(self) -> None:
        if self._live:
            reused = f" ({self._reused} already known)" if self._reused else ""
            self._bar.update(self._total, description=f"searches, {self._measured} probes{reused}")
            rows = Table.grid(padding=(0, 1))
            for running in self._running.values():
                rows.add_row(running.spinner, running.line())
            self._live.update(Group(rows, self._bar))


class _Running:
    """A search under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = ""
        self.spinner = Spinner("dots")
        self._points: list[Point] = []

    def add(self, point: Point) -> None:
        self._points.append(point)

    def line(self) -> Text:
        """What fits so far, what does not, and what is tried: ``64³ fits, 96³ does not, trying 80³``."""
        fitting = max((p for p in self._points if p.measurement.fits), key=lambda p: p.extent, default=None)
        known = fitting.extent if fitting else 0
        above = [p for p in self._points if p.measurement.status == "oom" and p.extent > known]
        unfit = min(above, key=lambda p: p.extent, default=None)
        words = [
            f"{pretty_value(fitting.value)} fits" if fitting else "",
            f"{pretty_value(unfit.value)} does not" if unfit else "",
            f"trying {self.value}",
        ]
        state = ", ".join(word for word in words if word)
        return Text.assemble(self.name, "  ", (state, "dim"))


def ending(name: str, result: SearchResult) -> Text:
    """One line about a search that ended."""
    fit, unfit = result.largest_fit, result.smallest_unfit
    if result.failure is not None:
        measurement = result.failure.measurement
        failed = f"{pretty_value(result.failure.value)}: {measurement.status}: {measurement.message}"
        return Text.assemble(("! ", "bold red"), name, "  ", (failed, "red"))
    peak = f"{pretty_value(fit.value)} fits ({format_bytes(fit.measurement.peak_reserved_bytes)})" if fit else ""
    edge = f"{pretty_value(unfit.value)} does not" if unfit else "the axis ends there"
    words = ", ".join(word for word in (peak, edge) if word)
    mark = ("✓ ", "bold green") if fit else ("✗ ", "bold yellow")
    return Text.assemble(mark, name, "  ", words)


def outcome(name: str, point: Point) -> Text:
    """One line about a single probe that ended."""
    measurement, value = point.measurement, pretty_value(point.value)
    if measurement.fits:
        peak = format_bytes(measurement.peak_reserved_bytes)
        return Text.assemble(("✓ ", "bold green"), name, f"  {value} fits ({peak})")
    if measurement.status == "oom":
        return Text.assemble(("✗ ", "bold yellow"), name, f"  {value} does not fit")
    failed = f"{value}: {measurement.status}: {measurement.message}"
    return Text.assemble(("! ", "bold red"), name, "  ", (failed, "red"))


def search_names(searches: Sequence[SearchSpec]) -> list[str]:
    """``Volume, plain``, and in what a search differs from the first of that name: ``Volume, plain, expansion 2``."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    names = []
    for search in searches:
        settings = _settings(search)
        base = first.setdefault((search.axis, search.probe.variant), settings)
        differences = [f"{name} {value}" for name, value in settings.items() if value != base[name]]
        names.append(", ".join((axis_title(search.axis), search.probe.variant, *differences)))
    return names


def _settings(search: SearchSpec) -> dict[str, Any]:
    probe, network = msgspec.structs.asdict(search.probe), msgspec.structs.asdict(search.probe.network)
    del probe["network"]
    if search.probe.budget:
        probe["budget"] = short_bytes(search.probe.budget)
    return {name.replace("_", " "): value for name, value in (probe | network).items()}
