import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from running import Run

from membench.floor import floor_bytes
from membench.models import parameter_count
from membench.spec import NetworkSpec, ProbeSpec

CONTRACT = shlex.split(
    "measure --device a100-40gb --budget 16GiB --strategy reversible --volume 128x128x128 --base-channels 32 "
    "--stages 4 --blocks 2 --expansion 6 --precision fp32 --steps 2 --json"
)
NUMBERS = (
    *("peak_allocated_bytes", "peak_reserved_bytes", "peak_requested_bytes", "largest_workspace_bytes"),
    "allocator_retries",
)


@pytest.mark.slow
def test_contract_on_the_emulated_device(program: Run) -> None:
    first, second = program(*CONTRACT), program(*CONTRACT)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    found, again = json.loads(first.out), json.loads(second.out)
    assert found["status"] == "fits"
    assert all(isinstance(found[name], int) for name in NUMBERS)
    assert 2**30 < found["peak_allocated_bytes"] <= found["peak_reserved_bytes"] <= 16 * 2**30
    assert found["unmodelled_calls"] == []
    assert found["parameters"] == parameter_count(NetworkSpec())
    assert (found["device"]["name"], found["device"]["kind"]) == ("a100-40gb", "emulated")
    assert {"membench", "torch", "cuda", "cudnn", "python"} <= set(found["versions"])
    assert found.pop("seconds") > 0
    assert again.pop("seconds") > 0
    assert found == again


def test_a_folder_of_the_same_name_is_not_taken_for_membench(tmp_path: Path) -> None:
    (tmp_path / "membench").mkdir()
    words = [sys.executable, "-P", "-m", "membench", *shlex.split("measure --device t4 --volume 16 --stages 2 --json")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "fits"


@pytest.mark.slow
def test_out_of_memory_is_exit_code_3(program: Run) -> None:
    ended = program(*["measure", "--device", "a100-40gb", "--budget", "1GiB", "--strategy", "plain", "--json"])
    assert ended.code == 3
    found = json.loads(ended.out)
    assert found["status"] == "oom"
    assert found["peak_reserved_bytes"] <= 2**30
    assert "out of memory" in found["message"]
    assert found["parameters"] == parameter_count(NetworkSpec())


def test_people_read_verdict_peaks_and_what_ran(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("measure", "--device", "a100-4", "--budget", "4GiB", "--volume", "64", "--batch", "2")
    assert ended.code == 0
    assert "✓ fits" in ended.out
    assert "Peak reserved" in ended.out
    assert "2.00 GiB (2,147,483,648 bytes), 50.0% of the budget" in ended.out
    assert "mbconv ×6, 4 stages × 2 blocks, 32-64-128-256 channels, coupled" in ended.out
    assert "1,234,567 parameters" in " ".join(ended.out.replace("│", "").split())
    assert "emulated" in ended.out
    (asked,) = probes
    assert (asked.device, asked.volume, asked.batch) == ("a100-40gb", (64, 64, 64), 2)


def test_a_long_message_is_cut_for_people_only(cli: Run, probes: list[ProbeSpec]) -> None:
    arguments = ("measure", "--budget", "1GiB", "--device", "t4-16gb", "--strategy", "plain")
    read = cli(*arguments)
    assert read.code == 3
    assert "Tried to allocate 2.00 MiB" in read.out
    assert "And so on" not in read.out
    assert json.loads(cli(*arguments, "--json").out)["message"].endswith("And so on.")


def test_a_crash_is_exit_code_1(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("measure", "--device", "t4-16gb", "--strategy", "broken", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["status"] == "crashed"


def test_the_floor_is_told_beside_the_peak(cli: Run, probes: list[ProbeSpec]) -> None:
    arguments = ("measure", "--device", "a100-40gb", "--volume", "64")
    read, found = cli(*arguments), json.loads(cli(*arguments, "--json").out)
    floor = floor_bytes(probes[0]).total
    assert found["floor_bytes"] == floor
    assert f"{floor:,} bytes" in read.out
    assert f"{found['peak_allocated_bytes'] / floor:.2f} × it" in read.out


def test_what_did_not_fit_is_no_multiple_of_the_floor(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("measure", "--budget", "1GiB", "--device", "t4-16gb", "--strategy", "plain")
    assert "Floor" in ended.out
    assert "× it" not in ended.out
