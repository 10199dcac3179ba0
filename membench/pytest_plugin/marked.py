"""What a mark says, and what is measured of a marked test."""

import msgspec
import pytest

from membench.check.baseline import Peaks
from membench.check.result import Status
from membench.check.thresholds import Threshold, parse_threshold
from membench.device import Device, resolve
from membench.errors import UsageError
from membench.pytest_plugin.names import MARK, PROPERTY
from membench.result import DeviceInfo, Measurement
from membench.spec import ProbeSpec
from membench.units import parse_bytes


class Marked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of a mark. ``limit`` is of peak reserved bytes; ``device`` None is the default of the machine."""

    limit: str | int | None = None
    device: str | None = None
    timeout: float = 300.0
    fail_on: list[str] | str | None = None

    @property
    def limit_bytes(self) -> int | None:
        return parse_bytes(str(self.limit)) if self.limit is not None else None

    @property
    def thresholds(self) -> tuple[Threshold, ...] | None:
        stated = [self.fail_on] if isinstance(self.fail_on, str) else self.fail_on
        return None if stated is None else tuple(map(parse_threshold, stated))

    def find_device(self) -> Device:
        """The device that the mark names.

        Raises:
            MembenchError: there is none of that name, or it cannot be used on this machine.
        """
        return resolve(self.device)


class TestMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks of the test's call, what it ran on, and what the mark and the baseline make of that."""

    __test__ = False  # for pytest, which takes a class of this name for tests

    nodeid: str
    peaks: Peaks
    device: DeviceInfo
    versions: dict[str, str]
    status: Status = "new"
    reasons: tuple[str, ...] = ()

    @property
    def exceeded(self) -> bool:
        """Whether the test failed for its memory."""
        return self.status in ("limit", "regressed")

    @property
    def measurement(self) -> Measurement:
        """The same as a probe would give it."""
        return Measurement(
            spec=ProbeSpec(device=self.device.name),
            status="fits",
            peak_allocated_bytes=self.peaks.peak,
            peak_reserved_bytes=self.peaks.reserved,
            peak_requested_bytes=self.peaks.requested,
            device=self.device,
            versions=self.versions,
        )


def memory_of(report: pytest.TestReport) -> TestMemory | None:
    """What a report says of the test's memory; None where it says nothing."""
    found = dict(report.user_properties).get(PROPERTY)
    return msgspec.json.decode(str(found), type=TestMemory) if found else None


def read_mark(item: pytest.Item) -> Marked:
    """The nearest mark of the test.

    Raises:
        UsageError: an argument is not one of the mark's, or cannot be read.
    """
    mark = item.get_closest_marker(MARK)
    assert mark is not None
    arguments = dict(mark.kwargs)
    if len(mark.args) > 1 or (mark.args and "limit" in arguments):
        raise UsageError(f"the mark {MARK} takes one limit, and the rest by name")
    if mark.args:
        arguments["limit"] = mark.args[0]
    try:
        marked = msgspec.convert(arguments, Marked)
        _ = marked.limit_bytes, marked.thresholds
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"the mark {MARK}: {error}") from error
    if not 0 < marked.timeout <= 1e8:
        raise UsageError(f"the mark {MARK}: timeout must be positive and at most 1e8 seconds, not {marked.timeout:g}")
    return marked
