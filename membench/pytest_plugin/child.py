"""In the process that runs one marked test: measure its call, judge it, and leave the reports in a file."""

import json
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from membench.check.baseline import Peaks
from membench.check.result import EXIT_CODES
from membench.probe.log import read_log
from membench.pytest_plugin.baseline import judged
from membench.pytest_plugin.marked import TestMemory, read_mark
from membench.pytest_plugin.names import DEVICE, PROPERTY, RECORD, REPORTS, SNAPSHOT
from membench.result import DeviceInfo

if TYPE_CHECKING:
    from membench.probe.recorder import Recorder

_READS = "The emulated device computes nothing: this test read {} values from it, which are zeros."


class CudaMemory:
    """The memory of the test's device since its call began, in bytes, as the caching allocator counts it."""

    def __init__(self, index: int = 0) -> None:
        self._index = index

    @property
    def peak_allocated_bytes(self) -> int:
        return self._counted("allocated")

    @property
    def peak_reserved_bytes(self) -> int:
        return self._counted("reserved")

    @property
    def peak_requested_bytes(self) -> int:
        return self._counted("requested")

    @property
    def peaks(self) -> Peaks:
        return Peaks(
            peak=self.peak_allocated_bytes, reserved=self.peak_reserved_bytes, requested=self.peak_requested_bytes
        )

    def reset(self) -> None:
        """Count peaks from here on, beginning with what is held now."""
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.reset_peak_memory_stats(self._index)

    def _counted(self, which: str) -> int:
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            return 0
        return int(torch.cuda.memory_stats(self._index).get(f"{which}_bytes.all.peak", 0))


class Child:
    """The plugin of this process."""

    def __init__(self, config: pytest.Config, folder: str) -> None:
        self._config = config
        self._folder = Path(folder)
        self._reports = self._folder / REPORTS
        self._recorder: Recorder | None = None
        self._recording = ExitStack()
        self._device = msgspec.json.decode((self._folder / DEVICE).read_bytes(), type=DeviceInfo)
        self.memory = CudaMemory(int(self._device.name.partition(":")[2] or 0))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        if RECORD in os.environ:
            from membench.probe.recorder import Recorder

            self._recorder = Recorder()
            self._recording.enter_context(self._recorder)
        with self._recording:
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        self.memory.reset()
        try:
            result = yield
        except BaseException:
            if reads := read_log().device_to_host_reads:
                item.add_report_section("call", "membench", _READS.format(reads))
            raise
        memory = self._judged(item)
        if self._recorder is not None:
            self._recorder.take()
            self._recording.close()
            self._recorder.save(self._folder / SNAPSHOT, memory.measurement)
        item.user_properties.append((PROPERTY, msgspec.json.encode(memory).decode()))
        if memory.status in EXIT_CODES:
            pytest.fail("\n".join(memory.reasons), pytrace=False)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        # Line by line, so that what is known stays known should the process be killed.
        with self._reports.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data, default=str) + "\n")

    def _judged(self, item: pytest.Item) -> TestMemory:
        versions = {}
        if "torch" in sys.modules:
            from membench.probe.versions import library_versions

            versions = library_versions()
        memory = TestMemory(nodeid=item.nodeid, peaks=self.memory.peaks, device=self._device, versions=versions)
        if refused := read_log().refused:
            reason = f"the emulated device does not model {', '.join(refused)}"
            return msgspec.structs.replace(memory, status="failed", reasons=(reason,))
        return judged(memory, read_mark(item), self._config)
