"""Measuring the cases of a check, a few at a time."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from membench.check.config import Case
from membench.device import Device
from membench.errors import MembenchError, UsageError
from membench.probe import Prober
from membench.profile import Peak, attribute
from membench.result import Measurement
from membench.workers import at_work


class Measured(NamedTuple):
    """A case's measurement, and who held its peak where that was asked for and could be found out."""

    measurement: Measurement
    peak: Peak | None


def measure_cases(
    cases: Sequence[Case],
    devices: Mapping[str, Device],
    open_prober: Callable[[Device], Prober],
    *,
    attributed: bool = False,
    jobs: int = 1,
    on_done: Callable[[Case], None] = lambda case: None,
) -> dict[str, Measured]:
    """Measure all cases, ``jobs`` at a time, on the devices that they name; ``devices`` has each by its case's name.

    ``attributed``: each is run a second time, recorded, to find out who holds its peak. ``on_done`` is called from the
    calling thread. Whatever a probe raises ends the others and is raised, and so is KeyboardInterrupt.

    Raises:
        UsageError: a probe cannot be run as asked; the message names the case.
        MembenchError: a probing process did not start.
    """
    crew = _Crew(cases, devices, open_prober, attributed)
    measured: dict[str, Measured] = {}
    with at_work(crew.work, min(jobs, len(cases)), crew.abort):
        while len(measured) < len(cases):
            done = crew.done.get()
            if isinstance(done, BaseException):
                raise done
            case, measured[case.name] = done
            on_done(case)
    return measured


class _Crew:
    """Workers that take cases in the order of their devices, so that each starts few fork servers."""

    def __init__(
        self,
        cases: Sequence[Case],
        devices: Mapping[str, Device],
        open_prober: Callable[[Device], Prober],
        attributed: bool,
    ) -> None:
        self.done: queue.SimpleQueue[tuple[Case, Measured] | BaseException] = queue.SimpleQueue()
        self._todo: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in sorted(cases, key=lambda case: devices[case.name].info.name):
            self._todo.put(case)
        self._devices = devices
        self._open_prober = open_prober
        self._attributed = attributed
        self._open: list[Prober] = []
        self._ended = threading.Event()

    def work(self) -> None:
        prober: Prober | None = None
        try:
            while not self._ended.is_set():
                case = self._todo.get_nowait()
                prober = self._prober(case, prober)
                self.done.put((case, _measured(case, prober, self._attributed)))
        except queue.Empty:
            return
        except BaseException as error:
            self.done.put(error)
        finally:
            if prober is not None:
                prober.close()

    def abort(self) -> None:
        """End the probes under way, from the calling thread, and let the workers run out."""
        self._ended.set()
        for prober in self._open:
            prober.close()

    def _prober(self, case: Case, at_hand: Prober | None) -> Prober:
        """The prober at hand where it is of the case's device, else a new one."""
        device = self._devices[case.name]
        if at_hand is not None and at_hand.device == device:
            return at_hand
        if at_hand is not None:
            at_hand.close()
        prober = self._open_prober(device)
        self._open.append(prober)
        if self._ended.is_set():
            prober.close()  # it may have been opened too late to be ended
        return prober


def _measured(case: Case, prober: Prober, attributed: bool) -> Measured:
    try:
        measurement = prober(case.probe)
    except UsageError as error:
        raise UsageError(f"case {case.name!r}: {error}") from error
    return Measured(measurement, _peak(case, prober) if attributed and measurement.status in ("fits", "oom") else None)


def _peak(case: Case, prober: Prober) -> Peak | None:
    """Who holds the peak; None where the recording fails, which is no reason to fail a check."""
    try:
        return attribute(case.probe, prober).peak
    except MembenchError:
        return None
