"""The log of the emulated device in this process: which library calls it answered, and how."""

import ctypes

import msgspec


class EmulatorLog(msgspec.Struct, frozen=True, kw_only=True):
    """``calls`` maps each call made so far to how it was answered and how often.

    Answers are ``exact`` (kept by the emulated device itself), ``nothing`` (computation, not done), ``library`` (by the
    real library for the described card), ``model`` (by a formula of ours) and ``refused`` (not modelled). On a real
    device there is no log: the calls are empty, and the two counters None.
    """

    calls: dict[str, tuple[str, int]] = {}
    device_to_host_reads: int | None = None
    largest_workspace_bytes: int | None = None

    @property
    def refused(self) -> tuple[str, ...]:
        return self._answered("refused")

    @property
    def modelled(self) -> tuple[str, ...]:
        return self._answered("model")

    @property
    def convolved(self) -> bool:
        """Whether cuDNN chose plans; taken to be so where there is no log."""
        return not self.calls or "cudnnBackendFinalize" in self.calls

    def _answered(self, how: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, (answer, _) in self.calls.items() if answer == how))


def read_log() -> EmulatorLog:
    """The log so far; an empty one where this process does not run on the emulated device."""
    write = getattr(ctypes.CDLL(None), "membench_log", None)
    if write is None:
        return EmulatorLog()
    write.restype, write.argtypes = ctypes.c_size_t, (ctypes.c_char_p, ctypes.c_size_t)
    buffer = ctypes.create_string_buffer(write(None, 0) + 4096)
    write(buffer, len(buffer))
    entries = [line.split() for line in buffer.value.decode().splitlines()]
    counters = {name: int(count) for name, answer, count in entries if answer == "counter"}
    return EmulatorLog(
        calls={name: (answer, int(count)) for name, answer, count in entries if answer != "counter"},
        device_to_host_reads=counters["device_to_host_reads"],
        largest_workspace_bytes=counters["largest_workspace_bytes"],
    )
