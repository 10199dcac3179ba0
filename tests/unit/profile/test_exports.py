"""What other tools read: PyTorch's own viewer, Perfetto, tables."""

import csv
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from recorded_probes import SMALL, Record, Snapshot

from membench.profile import Analysis
from membench.profile.exports import chrome_trace, timeline_csv
from membench.profile.records import CATEGORIES
from membench.profile.timeline import Tick, timeline
from membench.snapshot import read_snapshot
from membench.units import MIB


@pytest.fixture(scope="module")
def ticks(recorded: Record) -> list[Tick]:
    return list(timeline(recorded(SMALL)))


def test_the_categories_add_up_at_every_event(ticks: list[Tick]) -> None:
    assert len(ticks) > 500
    assert all(sum(tick.categories) == tick.allocated <= tick.reserved for tick in ticks)


def test_the_timeline_is_the_peaks_step(recorded: Record, ticks: list[Tick]) -> None:
    analysis = recorded(SMALL)
    assert {tick.step for tick in ticks} == {1}
    assert max(tick.allocated for tick in ticks) == analysis.profile.peak.allocated_bytes
    phases = [tick.phase for tick in ticks]
    assert phases[0] == "forward"
    assert phases[-1] == "optimizer"
    assert phases.index("loss") < phases.index("backward") < phases.index("optimizer")


def test_the_table_has_the_same_sums(ticks: list[Tick]) -> None:
    rows = list(csv.DictReader(io.StringIO(timeline_csv(ticks))))
    assert len(rows) == len(ticks)
    for row, tick in zip(rows, ticks, strict=True):
        parts = [int(row[f"{category.replace(' ', '_')}_bytes"]) for category in CATEGORIES]
        assert sum(parts) == int(row["allocated_bytes"]) == tick.allocated
    at_peak = max(rows, key=lambda row: int(row["allocated_bytes"]))
    assert at_peak["action"] == "alloc"
    assert at_peak["module"].startswith(("encoder", "decoder", "head", "stem"))


def test_the_trace_is_chromes_format_with_counters(recorded: Record, ticks: list[Tick]) -> None:
    events = json.loads(chrome_trace(recorded(SMALL), ticks))["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "C", "i"}
    counted = [sum(event["args"].values()) for event in events if event["name"] == "allocated bytes by category"]
    assert counted == [tick.allocated for tick in ticks]
    phases = [event["name"] for event in events if event["ph"] == "X" and event["tid"] == 1]
    assert phases[:3] == ["forward", "loss", "backward"]
    assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")


def test_a_snapshot_of_ours_gives_the_same_profile_when_it_is_read_again(snapshot: Snapshot) -> None:
    first, file = snapshot(SMALL)
    assert Analysis(read_snapshot(file)).profile.peak == first.profile.peak


def test_a_snapshot_from_elsewhere_is_analysed_as_far_as_it_goes(snapshot: Snapshot, tmp_path: Path) -> None:
    """The same recording without what membench adds, and with its first half lost, as a full ring buffer loses it."""
    whole, ours = snapshot(SMALL)
    content = pickle.loads(ours.read_bytes())
    del content["membench"]
    trace = content["device_traces"][0]
    for event in trace:
        event["user_metadata"] = ""
    content["device_traces"][0] = trace[len(trace) // 2 :]
    file = tmp_path / "foreign.pickle"
    file.write_bytes(pickle.dumps(content))
    found = Analysis(read_snapshot(file)).profile
    assert not found.exact
    assert found.measurement is None
    assert len(found.notes) == 2
    assert abs(found.peak.allocated_bytes - whole.profile.peak.allocated_bytes) < 4 * MIB
    assert sum(found.peak.categories.values()) == found.peak.allocated_bytes
    assert any("membench/models" in held.line for held in found.peak.largest)


@pytest.mark.slow
def test_pytorchs_own_viewer_reads_it_and_counts_the_same(snapshot: Snapshot) -> None:
    analysis, file = snapshot(SMALL)
    command = [sys.executable, "-m", "torch.cuda._memory_viz", "stats", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    totals = dict(line.split(": ") for line in printed.splitlines() if line.startswith("total_"))
    requested = sum(each.requested_bytes for each in analysis.held(len(analysis.history.events) - 1))
    assert requested > MIB  # parameters and optimizer states
    assert totals["total_allocated"] == f"{requested / MIB:.1f}MiB"
    assert totals["total_reserved"] == f"{analysis.history.reserved[-1] / MIB:.1f}MiB"
