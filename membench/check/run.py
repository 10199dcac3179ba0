"""Measuring the cases of a check, a few at a time."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from membench.check.config import Case
from membench.device import Device
from membench.errors import UsageError
from membench.result import Measurement
from membench.spec import ProbeSpec


class Probe(Protocol):
    """What measures on one device; `membench.probe.Prober` is one."""

    def __call__(self, spec: ProbeSpec, /) -> Measurement: ...

    def close(self) -> None:
        """End the probe under way and let no other start; from any thread, and as often as one likes."""


def measure_cases(
    cases: Sequence[Case],
    devices: Mapping[str, Device],
    open_probe: Callable[[Device], Probe],
    *,
    jobs: int = 1,
    on_done: Callable[[Case, Measurement], None] = lambda case, measurement: None,
) -> dict[str, Measurement]:
    """Measure all cases, ``jobs`` at a time, on the devices that they name; ``devices`` has each by its case's name.

    ``on_done`` is called from the calling thread. Whatever a probe raises ends the others and is raised, and so is
    KeyboardInterrupt.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, not {jobs}")
    crew = _Crew(cases, devices, open_probe)
    threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(min(jobs, len(cases)))]
    measured: dict[str, Measurement] = {}
    try:
        for thread in threads:
            thread.start()
        while len(measured) < len(cases):
            done = crew.done.get()
            if isinstance(done, BaseException):
                raise done
            case, measurement = done
            measured[case.name] = measurement
            on_done(case, measurement)
    except BaseException:
        crew.abort()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    return measured


class _Crew:
    """Workers that take cases in the order of their devices, so that each starts few fork servers."""

    def __init__(
        self, cases: Sequence[Case], devices: Mapping[str, Device], open_probe: Callable[[Device], Probe]
    ) -> None:
        self.done: queue.SimpleQueue[tuple[Case, Measurement] | BaseException] = queue.SimpleQueue()
        self._todo: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in sorted(cases, key=lambda case: devices[case.name].info.name):
            self._todo.put(case)
        self._devices = devices
        self._open_probe = open_probe
        self._open: list[Probe] = []
        self._ended = threading.Event()

    def work(self) -> None:
        try:
            self._measure_all()
        except queue.Empty:
            return
        except BaseException as error:
            self.done.put(error)

    def _measure_all(self) -> None:
        device: Device | None = None
        probe: Probe | None = None
        try:
            while not self._ended.is_set():
                case = self._todo.get_nowait()
                if probe is None or self._devices[case.name] != device:
                    if probe is not None:
                        probe.close()
                    device = self._devices[case.name]
                    probe = self._open_probe(device)
                    self._open.append(probe)
                    if self._ended.is_set():
                        return  # it may have been opened too late to be ended
                self.done.put((case, _measured(case, probe)))
        finally:
            if probe is not None:
                probe.close()

    def abort(self) -> None:
        """End the probes under way, from the calling thread, and let the workers run out."""
        self._ended.set()
        for probe in self._open:
            probe.close()


def _measured(case: Case, probe: Probe) -> Measurement:
    try:
        return probe(case.probe)
    except UsageError as error:
        raise UsageError(f"case {case.name!r}: {error}") from error
