"""One isolated training step under a budget: the fork server's other end."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from membench.device import Device
from membench.errors import MembenchError, UsageError
from membench.probe.answer import Answer, Outcome, Refusal, Request
from membench.probe.log import EmulatorLog
from membench.probe.words import last_words
from membench.result import Measurement
from membench.spec import ProbeSpec

__all__ = ["EmulatorLog", "Prober"]


class Prober:
    """Measures probes on one device, one at a time, each in a fresh process. A context manager; callable.

    The fork server behind it is started when it is first needed, and started anew should it die, or should it have
    imported modules of the user's that the next probe does not name: an import can change what another model takes
    (MONAI's sets ``CUBLAS_WORKSPACE_CONFIG``), and a result depends on its spec alone. Closing the prober, from any
    thread and at any time, ends the server and the probe that is under way, for good. ``log`` is what the emulated
    device did for the last probe.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.log = EmulatorLog()
        self._versions: dict[str, str] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._imported: frozenset[str] = frozenset()
        self._closed = False
        self._guard = threading.Lock()

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the server's libraries.

        Raises:
            MembenchError: the server does not start; the message has the last line that it printed.
        """
        if not self._versions:
            self._running()
        return self._versions

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, spec: ProbeSpec) -> Measurement:
        return self.measure(spec)

    def measure(self, spec: ProbeSpec) -> Measurement:
        """Run the probe and say what came of it; every failure of the probe is a status of the measurement.

        Raises:
            UsageError: the probe cannot be run as asked (`ProbeSpec.validate`, more budget than the device has, or a
                strategy that is not known).
            MembenchError: the server does not start, or the prober is closed.
        """
        return self._run(Request(spec=spec)).measurement

    def record(self, spec: ProbeSpec, snapshot: Path, *, labelled: bool = True) -> Measurement:
        """Run the probe as `measure` does, and record it: PyTorch's own snapshot of it is written to a file.

        ``labelled`` records what each allocation is for too (`membench.probe.recorder`), which can raise the peak a
        little. There is no file where the probe's process did not live to write it.
        """
        return self._run(Request(spec=spec, snapshot=str(snapshot.absolute()), labelled=labelled)).measurement

    def _run(self, request: Request) -> Outcome:
        spec = request.spec
        spec.validate()
        self.device.check_budget(spec.budget)
        self._prepare_for(frozenset(name.partition(":")[0] for name in spec.network.functions))
        answer = _ask(self._running(), request)
        if answer is None:
            code = self._end()
            killed = "the probing process was killed"
            if code < 0 and -code != signal.SIGKILL:  # by an import of the user's, for example
                killed += f" by {signal.Signals(-code).name}"
            answer = Outcome(
                measurement=Measurement(spec=spec, status="crashed", message=killed, versions=self.versions)
            )
        if isinstance(answer, Refusal):
            if answer.spoiled:
                self._end()
            raise UsageError(answer.message)
        self.log = answer.log
        measurement = msgspec.structs.replace(answer.measurement, device=self.device.info)
        return msgspec.structs.replace(answer, measurement=measurement)

    def _prepare_for(self, modules: frozenset[str]) -> None:
        """End a server that has imported others of the user's modules than these."""
        if self._imported and self._imported != modules:
            self._end()
        self._imported = modules

    def close(self) -> None:
        """End the server and whatever it is doing; there is no other."""
        with self._guard:
            self._closed = True
        self._end()

    def _end(self) -> int:
        """End the server, if there is one; its exit code, which is negative after a signal."""
        with self._guard:
            server, self._server = self._server, None
        if server is None:
            return 0
        server.kill()
        code = server.wait()
        for stream in (server.stdin, server.stdout):
            with contextlib.suppress(OSError):
                _open(stream).close()
        return code

    def _running(self) -> subprocess.Popen[bytes]:
        """The server, started if there is none."""
        server = self._server
        if server is not None and server.poll() is None:
            return server
        with tempfile.TemporaryFile() as printed:
            server = self._start(printed)
            greeting = _read_line(server)
            if not greeting:
                self._end()
                raise MembenchError(f"the probing process did not start{last_words(printed)}")
        self._versions = msgspec.json.decode(greeting, type=dict[str, str])
        return server

    def _start(self, printed: IO[bytes]) -> subprocess.Popen[bytes]:
        self._end()
        with self._guard:
            if self._closed:
                raise MembenchError("the prober is closed")
            self._server = subprocess.Popen(
                [sys.executable, "-m", "membench.probe.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                # One thread is enough for a step that computes nothing, and many workers share the machine.
                env=self.device.child_environment() | {"OMP_NUM_THREADS": "1"},
                # Ctrl-C is for the command, which ends its servers itself.
                start_new_session=True,
            )
            return self._server


def _ask(server: subprocess.Popen[bytes], request: Request) -> Answer | None:
    """The server's answer; None if it died over it."""
    try:
        requests = _open(server.stdin)
        requests.write(msgspec.json.encode(request) + b"\n")
        requests.flush()
    except OSError:
        return None
    line = _read_line(server)
    return msgspec.json.decode(line, type=Answer) if line else None


def _read_line(server: subprocess.Popen[bytes]) -> bytes:
    line = _open(server.stdout).readline()
    return line if line.endswith(b"\n") else b""


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the server is started with pipes"
    return stream
