from pathlib import Path

import msgspec
import pytest
from made_up_profiles import SPEC, measurement, profile

from membench.errors import MembenchError, UsageError
from membench.profile.diff import compare, difference, read_side
from membench.units import MIB

BEFORE = profile(
    ("activation", "encoder.0", "net.py:10 (forward)", 100),
    ("activation", "encoder.1", "net.py:10 (forward)", 50),
    ("parameter", "head", "net.py:3 (__init__)", 8),
)
AFTER = profile(
    ("activation", "encoder.0", "net.py:12 (forward)", 140),
    ("workspace", "encoder.1", "net.py:12 (forward)", 30),
    ("parameter", "head", "net.py:3 (__init__)", 8),
)


def test_every_table_adds_up_to_what_the_peak_grew_by() -> None:
    found = compare(BEFORE, AFTER)
    grown = AFTER.peak.allocated_bytes - BEFORE.peak.allocated_bytes
    assert found.peaks[0].grown == grown == 20 * MIB
    for table in (found.categories, found.modules, found.lines, found.holders):
        assert sum(change.grown for change in table) == grown
        assert all(change.grown for change in table)
        assert list(table) == sorted(table, key=lambda change: -abs(change.grown))


def test_a_holder_is_the_same_although_its_line_moved() -> None:
    moved = next(change for change in compare(BEFORE, AFTER).holders if change.module == "encoder.0")
    assert (moved.before, moved.after, moved.line) == (100 * MIB, 140 * MIB, "net.py:12 (forward)")


def test_measurements_are_compared_by_peaks_settings_and_versions(tmp_path: Path) -> None:
    first = measurement(peak_allocated_bytes=100, peak_reserved_bytes=200, peak_requested_bytes=90)
    other = msgspec.structs.replace(SPEC, precision="bf16")
    second = measurement(other, peak_allocated_bytes=150, peak_reserved_bytes=200, versions={"torch": "2.15"})
    for name, side in (("a", first), ("b", second)):
        (tmp_path / name).write_bytes(msgspec.json.encode(side))
    found = difference(tmp_path / "a", tmp_path / "b")
    assert {change.name: change.grown for change in found.peaks} == {"allocated": 50, "reserved": 0, "requested": -90}
    assert found.settings == {"precision": ("fp32", "bf16")}
    assert found.notes == ("The two were made with different versions: torch 2.14 and 2.15.",)


def test_a_profile_and_a_measurement_are_compared_by_what_both_know(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_bytes(msgspec.json.encode(BEFORE))
    (tmp_path / "measured.json").write_bytes(msgspec.json.encode(measurement(peak_allocated_bytes=7)))
    found = difference(tmp_path, tmp_path / "measured.json")
    assert found.peaks[0].after == 7
    assert found.holders == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.json", None, "cannot read"),
        ("other.json", b"{}", "neither a profile nor a measurement"),
        ("broken.json", b"\xff\x00{", "neither a profile nor a measurement"),
        ("bad.pickle", b"cos\nsystem\n(S'true'\ntR.", "refused"),
    ],
)
def test_what_is_no_side_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MembenchError, match=message):
        read_side(tmp_path / name)


def test_a_folder_without_a_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no profile"):
        read_side(tmp_path)
