"""The fork server: a process that has imported PyTorch but not initialised CUDA, and forks one child for each probe.

Started as ``python -m membench.probe.server`` in the environment of its device. It imports the user's plugins and
greets with the versions of its libraries; then it reads one `Request` a line and answers each with one `Answer` a
line, in order. Standard output carries the protocol alone: whatever libraries print goes to standard error.
"""

import ctypes
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import torch

from membench.errors import UsageError
from membench.imports import import_function
from membench.plugins import load_plugins
from membench.probe import step
from membench.probe.answer import Answer, Outcome, Refusal, Request
from membench.probe.versions import library_versions
from membench.probe.words import last_words
from membench.result import Measurement, Status
from membench.spec import ProbeSpec

_SET_PARENT_DEATH_SIGNAL = 1  # prctl


def main() -> None:
    """Serve until standard input ends."""
    requests, answers = _take_standard_streams()
    step.warm_up()
    load_plugins()
    _send(answers, library_versions())
    for line in requests:
        request = msgspec.json.decode(line, type=Request)
        started = time.monotonic()
        answer = _refusal(request.spec) or _probe(request, requests)
        if isinstance(answer, Outcome):
            seconds = round(time.monotonic() - started, 3)
            answer = msgspec.structs.replace(
                answer, measurement=msgspec.structs.replace(answer.measurement, seconds=seconds)
            )
        _send(answers, answer)


def _take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


def _send(answers: BinaryIO, message: object) -> None:
    answers.write(msgspec.json.encode(message) + b"\n")
    answers.flush()


def _refusal(spec: ProbeSpec) -> Refusal | None:
    """Import what the probe names of the user's, before the fork, so that it is imported once for all probes."""
    try:
        with _within(spec.timeout):
            for name in spec.network.functions:
                import_function(name)
    except UsageError as error:
        return Refusal(message=str(error))
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        names = ", ".join(spec.network.functions)
        message = f"importing {names} initialises CUDA; move that into a function, which a probe calls"
        return Refusal(message=message, spoiled=True)
    return None


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise a `UsageError` in what takes longer."""

    def late(*_: object) -> None:
        raise UsageError(f"importing the model did not end within {seconds:g} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _probe(request: Request, requests: BinaryIO) -> Answer:
    """Fork, measure in the child, and turn whatever becomes of the child into an answer."""
    spec = request.spec
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            _be_the_child(request, writer, printed.fileno())
        os.close(writer)
        report, timed_out = _read_report(reader, requests.fileno(), spec.timeout)
        os.close(reader)
        if timed_out:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if timed_out:
            return _failure(spec, "timeout", f"the probe did not end within {spec.timeout:g} s")
        if report.endswith(b"\n"):
            answer: Answer = msgspec.json.decode(report, type=Answer)
            return answer
        return _failure(spec, "crashed", f"the probe's process {_ending(status)}{last_words(printed)}")


def _be_the_child(request: Request, writer: int, printed: int) -> None:
    """Never returns. The child dies with the server, and leaves without running anything that it inherited."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        with os.fdopen(writer, "wb") as report:
            _send(report, _answer(request))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


def _answer(request: Request) -> Answer:
    try:
        if request.snapshot:
            return _record(request)
        measurement, log = step.measure(request.spec)
    except UsageError as error:
        return Refusal(message=str(error))
    return Outcome(measurement=measurement, log=log)


def _record(request: Request) -> Outcome:
    from membench.probe.recorder import Recorder  # only recorded probes need it

    recorder = Recorder(labelled=request.labelled)
    with recorder:
        measurement, log = step.measure(request.spec, at_end=recorder.take)
    recorder.save(Path(request.snapshot), measurement)
    return Outcome(measurement=measurement, log=log)


def _read_report(reader: int, requests: int, timeout: float) -> tuple[bytes, bool]:
    """All that the child writes until it ends, and whether it was given up after ``timeout`` seconds.

    A request cannot come before the last is answered: if the other end has something, it is that it is gone, and the
    server goes too, the child with it.
    """
    deadline = time.monotonic() + timeout
    parts: list[bytes] = []
    while True:
        ready = select.select([reader, requests], [], [], max(0.0, deadline - time.monotonic()))[0]
        if requests in ready:
            os._exit(0)
        if not ready:
            return b"", True
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts), False
        parts.append(part)


def _failure(spec: ProbeSpec, status: Status, message: str) -> Outcome:
    return Outcome(measurement=Measurement(spec=spec, status=status, message=message, versions=library_versions()))


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = ", often for want of host memory" if number == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(number).name}{hint}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


if __name__ == "__main__":
    main()
