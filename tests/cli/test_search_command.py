import json
import shlex

import msgspec
import pytest
from running import FakeProber, Run

from membench.result import Measurement
from membench.spec import ProbeSpec

SMALL = shlex.split("search --axis volume --device a100-40gb --budget 256MiB --base-channels 16 --stages 2 --blocks 1")
BOTH = ("--strategy", "reversible", "--strategy", "plain")


@pytest.mark.slow
def test_contract_on_the_emulated_device(program: Run) -> None:
    ended = program(*SMALL, *BOTH, "--expansion", "2", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    fit, unfit = found["largest_fit"], found["smallest_unfit"]
    assert (fit["measurement"]["status"], unfit["measurement"]["status"]) == ("fits", "oom")
    assert [side + 2 for side in fit["value"]] == unfit["value"]
    assert 3 <= len(found["probes"]) <= 12
    (plain,) = found["others"]
    assert found["ratio_to_plain"] == fit["extent"] / plain["largest_fit"]["extent"] > 1
    assert "\x1b" not in ended.err
    assert ended.err.count("✓ Volume, ") == 2


def test_what_is_not_exact_is_marked(cli: Run, probes: list[ProbeSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    measure = FakeProber.__call__

    def inexact(self: FakeProber, spec: ProbeSpec) -> Measurement:
        return msgspec.structs.replace(measure(self, spec), exact=False, inexact_because=("a reason",))

    monkeypatch.setattr(FakeProber, "__call__", inexact)
    found = json.loads(cli(*SMALL, "--json").out)
    assert (found["exact"], found["inexact_because"]) == (False, ["a reason"])
    assert found["largest_fit"]["measurement"]["exact"] is False
    printed = cli(*SMALL).out
    assert "≈ " in printed
    assert "≈ not exact: a reason" in printed


def test_ratio_needs_plain(cli: Run, probes: list[ProbeSpec]) -> None:
    found = json.loads(cli(*SMALL, "--json").out)
    assert found["search"]["probe"]["strategy"] == "reversible"
    assert found["ratio_to_plain"] is None
    assert found["others"] == []


def test_edge_is_where_the_made_up_memory_ends(cli: Run, probes: list[ProbeSpec]) -> None:
    # 16 channels × 64 bytes a voxel in 256 MiB: 2**18 voxels, a cube of 64; plain takes four times as much.
    found = json.loads(cli(*SMALL, *BOTH, "--json").out)
    assert found["largest_fit"]["value"] == [64, 64, 64]
    assert found["smallest_unfit"]["value"] == [66, 66, 66]
    assert found["others"][0]["largest_fit"]["value"] == [40, 40, 40]
    assert found["ratio_to_plain"] == 64**3 / 40**3


def test_table_for_people(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli(*SMALL, *BOTH)
    lines = [line.split() for line in ended.out.splitlines()]
    assert [
        "reversible",
        "64³",
        "256.00",
        "MiB",
        "66³",
        str(len([p for p in probes if p.strategy != "plain"])),
        "4.10×",
    ] in lines
    assert "✓ Volume, reversible  64³ fits (256.00 MiB), 66³ does not" in ended.err


def test_shape_start_and_limit_are_obeyed(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli(*SMALL, "--ratio", "2:1:1", "--start", "8", "--limit", "20")
    assert ended.code == 0
    assert probes[0].volume == (8, 4, 4)
    assert max(probe.volume for probe in probes) == (20, 10, 10)
    assert "≥ 20×10×10" in ended.out


def test_nothing_fits_is_exit_code_3(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("search", "--axis", "batch", "--budget", "1MiB", "--device", "t4-16gb")
    assert ended.code == 3
    assert min(probe.batch for probe in probes) == 1
    assert "✗ Batch, reversible  1 does not" in ended.err


def test_a_failed_probe_ends_the_search_with_exit_code_1(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli(*SMALL, "--strategy", "broken")
    assert ended.code == 1
    assert len(probes) == 1
    assert "! Volume, broken" in ended.err
    assert "crashed" in ended.err
