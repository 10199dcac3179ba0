import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from running import Run, command

from membench.device import real
from membench.spec import ProbeSpec

PRESET = """
title = "Small"
device = "a100-40gb"
budgets = ["128MiB"]
[network]
base_channels = 16
stages = 2
blocks = 1
expansion = 2
[[variant]]
strategy = "plain"
baseline = true
[[variant]]
strategy = "reversible"
[[search]]
axis = "volume"
start = 16
limit = 96
[[claim]]
claim = "volume"
axis = "volume"
paper_ratio = 3.0
[[sensitivity]]
parameter = "budget"
values = ["64MiB", "15GiB"]
variants = ["plain", "reversible"]
"""
FILES = ("index.html", "searches.csv", "probes.csv", "claims.json", "results.jsonl")


@pytest.fixture
def preset(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(PRESET)
    return str(path)


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_and_can_be_reported_again(tmp_path: Path, preset: str, program: Run) -> None:
    out = tmp_path / "out"
    arguments = ("sweep", "--preset", preset, "--jobs", "1", "--out", str(out))
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True) as running:
        while not (out / "results.jsonl").exists() or not (out / "results.jsonl").read_bytes():
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1].splitlines()
    assert running.returncode == 130
    assert said[-1] == f"membench: stopped; all that was measured is kept in {out}, the same command goes on from there"
    kept = (out / "results.jsonl").read_bytes()

    ended = program(*arguments, "--json")
    assert ended.code == 0, ended.err
    assert (out / "results.jsonl").read_bytes().startswith(kept)
    assert "\x1b" not in ended.err
    found = json.loads(ended.out)
    assert Path(found["files"][0]).name == "index.html"
    assert found["complete"] is True
    (claim,) = json.loads((out / "claims.json").read_text())
    assert {"claim", "paper_ratio", "measured_ratio", "reproduced", "reference", "candidate"} <= set(claim)
    assert claim["measured_ratio"] == found["claims"][0]["measured_ratio"] > 1

    made = {name: (out / name).read_bytes() for name in FILES}
    for name in set(FILES) - {"results.jsonl"}:
        (out / name).unlink()
    assert program("report", str(out)).code == 0
    assert {name: (out / name).read_bytes() for name in FILES} == made


def test_people_read_tables_the_claim_and_where_the_page_is(
    cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path
) -> None:
    ended = cli("sweep", "--preset", preset, "--out", str(tmp_path / "out"))
    assert ended.code == 0
    # 16 channels × 64 bytes a voxel in 128 MiB: 2**17 voxels, and a quarter of them under plain.
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["plain", "32³", "128.00", "MiB"] in [line[:4] for line in lines]
    assert ["reversible", "50³", "122.07", "MiB"] in [line[:4] for line in lines]
    assert "reproduced" in ended.out
    assert "reversible 50³ against plain 32³" in ended.out
    assert f"Report: {tmp_path / 'out' / 'index.html'}" in ended.out.splitlines()
    assert "✓ Volume, reversible, budget 64 MiB" in ended.err


def test_the_command_line_overrides_the_preset(cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path) -> None:
    ended = cli(
        *("sweep", "--preset", preset, "--out", str(tmp_path / "out"), "--device", "t4", "--axis", "volume"),
        *("--budget", "32MiB", "--budget", "48MiB", "--strategy", "reversible"),
    )
    assert ended.code == 0
    assert {probe.device for probe in probes} == {"t4-16gb"}
    assert {probe.strategy for probe in probes} == {"reversible"}
    assert {(probe.budget or 0) >> 20 for probe in probes} == {32, 48, 64}
    # The T4 has less than the 15 GiB of one study.
    assert "Note: studies left out, because t4-16gb does not have their budget: 1" in ended.err


@pytest.mark.parametrize(
    ("gpus", "in_preset", "given", "used"),
    [
        (0, None, None, "a100-40gb"),
        (1, None, None, "cuda"),
        (1, "t4-16gb", None, "t4-16gb"),
        (1, "t4-16gb", "h100-80", "h100-80gb"),
        (1, None, "cuda:0", "cuda"),
    ],
)
def test_which_device_is_used(
    cli: Run,
    probes: list[ProbeSpec],
    preset: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    in_preset: str | None,
    given: str | None,
    used: str,
) -> None:
    monkeypatch.setattr(real, "gpus", lambda: (real.Gpu("Some GPU", 80 * 2**30, "9.0", 132),) * gpus)
    line = f'device = "{in_preset}"' if in_preset else ""
    Path(preset).write_text(PRESET.replace('device = "a100-40gb"', line))
    ended = cli("sweep", "--preset", preset, "--out", str(tmp_path / "out"), *(["--device", given] if given else []))
    assert ended.code == 0, ended.err
    assert {probe.device for probe in probes} == {used}


def test_a_cut_results_file_loses_nothing_whole(cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path) -> None:
    arguments = ("sweep", "--preset", preset, "--jobs", "1", "--out", str(tmp_path / "out"))
    assert cli(*arguments).code == 0
    results = tmp_path / "out" / "results.jsonl"
    before, searches = len(probes), (tmp_path / "out" / "searches.csv").read_bytes()
    results.write_bytes(results.read_bytes()[:-10])
    ended = cli(*arguments)
    assert ended.code == 0
    assert "results.jsonl.tail" in ended.err
    assert len(probes) == before + 1
    assert (tmp_path / "out" / "searches.csv").read_bytes() == searches


def test_two_sweeps_in_one_folder(cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path) -> None:
    from membench.store import Store

    with Store(tmp_path / "out"):
        ended = cli("sweep", "--preset", preset, "--out", str(tmp_path / "out"))
    assert ended.code == 1
    assert ended.err.startswith("membench: another membench is writing to")
    assert probes == []


def test_a_failed_probe_is_exit_code_1_and_the_report_is_written(
    cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path
) -> None:
    ended = cli("sweep", "--preset", preset, "--out", str(tmp_path / "out"), "--strategy", "broken")
    assert ended.code == 1
    assert (tmp_path / "out" / "index.html").exists()
    assert "failed probe (crashed)" in ended.out


def test_the_folder_of_a_sweep_may_move(cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path) -> None:
    cli("sweep", "--preset", preset, "--out", str(tmp_path / "out"))
    shutil.move(tmp_path / "out", tmp_path / "moved")
    ended = cli("report", str(tmp_path / "moved"), "--json")
    assert ended.code == 0
    assert all(os.path.exists(path) for path in json.loads(ended.out)["files"])  # noqa: PTH110
