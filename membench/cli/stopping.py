"""Ctrl-C and SIGTERM, for a command that can end in good order."""

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Keeps what came while ``patient``, and raises `KeyboardInterrupt` otherwise or the second time.

    A context manager, for the main thread. ``number`` is the signal that came, 0 if none did. ``notice`` is said where
    one is kept.
    """

    def __init__(self) -> None:
        self.patient = False
        self.notice = ""
        self.number = 0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """128 and the signal, as shells have it; where another process was told to stop, as for Ctrl-C."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._came) for each in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)

    def _came(self, number: int, frame: FrameType | None) -> None:
        first, self.number = not self.number, number
        if not (first and self.patient):
            raise KeyboardInterrupt
        # Not through the stream, which may be in the middle of a write.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, self.notice.encode())
