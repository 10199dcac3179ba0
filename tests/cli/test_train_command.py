"""``membench phantom`` and ``membench train``, as they are typed."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from running import Run, command

from membench.train import extra

SMALL = shlex.split(
    "--device cpu --patch 8 --base-channels 8 --norm-groups 2 --stages 2 --blocks 1 --expansion 2 --held-out 0.3"
)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "msd"
    words = ["phantom", str(folder), "--cases", "3", "--shape", "24x20x16", "--layout", "msd"]
    done = subprocess.run(command(*words), capture_output=True, text=True, check=True)
    assert done.stdout == f"3 cases in the layout msd in {folder}\n"
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def unrehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares this process the rehearsal on the emulated card."""
    monkeypatch.setattr(sys.modules["membench.cli.train"], "rehearsed", lambda *_: None)


@pytest.mark.slow
def test_strategies_side_by_side(cli: Run, heads: Path, tmp_path: Path) -> None:
    strategies = ("--strategy", "plain", "--strategy", "reversible")
    arguments = ("train", str(heads), *SMALL, *strategies, "--steps", "3", "--out", str(tmp_path / "out"))
    ended = cli(*arguments, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert [training["strategy"] for training in found["trainings"]] == ["plain", "reversible"]
    assert all(len(training["losses"]) == 3 for training in found["trainings"])
    assert found["parity"]["reference"] == "plain"
    assert found["parity"]["largest_relative_loss_difference"] <= 1e-3
    assert found["parity"]["dice_difference"] <= 0.005
    assert found["parity"]["agrees"]
    plain, reversible = (training["peak"] for training in found["trainings"])
    assert (plain["device"], plain["kind"]) == ("a100-40gb", "emulated")
    assert 0 < reversible["allocated_bytes"] < plain["allocated_bytes"]
    (case,) = found["held_out"]
    assert (tmp_path / "out" / "reversible" / "predictions" / f"{case}.nii.gz").exists()
    # People read the same, from what is kept.
    read = cli(*arguments)
    assert read.code == 0
    assert "✓ The strategies agree" in read.out
    assert "on an emulated a100-40gb; this training ran on the CPU" in read.out
    strict = cli(*arguments, "--dice-tolerance", "0", "--loss-tolerance", "0")
    differs = found["parity"]["largest_relative_loss_difference"] > 0 or found["parity"]["dice_difference"] > 0
    assert strict.code == (1 if differs else 0)


@pytest.mark.slow
def test_ranks_of_torchrun_train_as_one_does_on_their_batches(
    cli: Run, unrehearsed: None, heads: Path, tmp_path: Path
) -> None:
    """Two ranks of one sample each take the samples, and make the steps, of one process with two."""
    shared = (str(heads), *SMALL, "--steps", "3", "--json")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "membench"),
            *("train", *shared, "--out", str(tmp_path / "two")),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)["trainings"][0]
    one = json.loads(cli("train", *shared, "--batch", "2", "--out", str(tmp_path / "one")).out)["trainings"][0]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert one["losses"][0] != one["losses"][2]
    assert two["peak"]["ranks"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_loses_no_step(heads: Path, tmp_path: Path, number: signal.Signals) -> None:
    """By Ctrl-C or SIGTERM: it says so in one line, and the checkpoint is of the last step that was made."""
    arguments = ("train", str(heads), *SMALL, "--steps", "100000", "--checkpoint-every", "100000", "--out", "out")
    with subprocess.Popen(command(*arguments), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        steps = tmp_path / "out" / "reversible" / "steps.csv"
        while not (steps.exists() and len(steps.read_text().splitlines()) > 2) and running.poll() is None:
            time.sleep(0.05)
        running.send_signal(number)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 128 + number
    assert said.splitlines()[-1] == ("membench: stopped; the same command goes on from the last checkpoint in out")
    assert "reversible, step 1 of 100000: loss " in said
    assert "Traceback" not in said
    kept = torch.load(steps.with_name("checkpoint.pt"), weights_only=True)["state"]["done"]
    assert kept == len(steps.read_text().splitlines()) - 1


@pytest.mark.slow
def test_a_card_of_the_catalog_measures_and_trains_nothing(cli: Run, heads: Path, tmp_path: Path) -> None:
    words = shlex.split("--patch whole --base-channels 16 --stages 3 --device t4 --ranks 4 --parallel fsdp2")
    ended = cli("train", str(heads), *words, "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    assert "One of 4 ranks of fsdp2 needs, on 24x20x16 voxels" in ended.out
    assert "nothing is learnt" in ended.out
    assert not (tmp_path / "out").exists()


REFUSED = {
    "nowhere": "there is no folder nowhere",
    ".": "holds no cases in a layout that is known",
    "DATA --steps 0": "steps must be at least 1, not 0",
    "DATA --patch 20": "patch 20x20x20 does not divide: 4 stages need every side to be a multiple of 8 voxels",
    "DATA --patch small": "'small' is not a volume",
    "DATA --strategy magic": "there is no strategy 'magic'",
    "DATA --strategy auto": "strategy auto is not trained with",
    "DATA --strategy plain --strategy plain": "a strategy is named twice",
    "DATA --device h1000": "h1000",
    "DATA --device cpu --ranks 2": "several ranks are started by torchrun",
    "DATA --held-out 1": "held out must be at least 0 and less than 1, not 1",
    "DATA --learning-rate nan": "learning rate must be positive, not nan",
    "DATA --in-channels 1": "BraTS has 4 modalities and 3 regions",
    "DATA --checkpoint-every 0": "checkpoint every must be at least 1, not 0",
    "DATA --parallel fsdp2 --optimizer sgd --optimizer-implementation fused": "fused sgd does not take the sharded",
    "DATA --precision fp16 --device cpu": "fp16 is for GPUs",
    "DATA --patch 256 --device cpu": "patch 256x256x256 is larger than the largest case, 24x20x16 voxels;",
}


@pytest.mark.parametrize(("arguments", "reason"), REFUSED.items())
def test_bad_usage_is_one_line_and_exit_code_2(
    cli: Run, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("train", *arguments.replace("DATA", str(heads)).split())
    assert ended.code == 2
    assert ended.out == ""
    assert reason in ended.err
    assert ended.err.startswith("membench: ")
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_is_said_before_anything_is_read(
    cli: Run, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("membench.device.real.gpus", lambda: ())
    ended = cli("train", str(heads), "--device", "cuda")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("membench: no NVIDIA GPU was found on this machine")
    (tmp_path / "file").touch()
    for out in ("file", "file/within"):
        ended = cli("train", str(heads), "--device", "cpu", "--out", str(tmp_path / out))
        assert ended.code == 1
        assert ended.err == f"membench: {tmp_path / out} cannot be written: Not a directory\n"
    ended = cli("phantom", str(tmp_path / "file"))
    assert ended.code == 2
    assert ended.err.startswith("membench: ")


@pytest.mark.parametrize("words", [("phantom", "new"), ("train", ".")])
def test_without_the_extra_it_says_what_to_install(
    cli: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("a_package_that_is_none",))
    ended = cli(*words)
    assert ended.code == 1
    assert ended.err == "membench: training needs a_package_that_is_none: pip install 'membench[train]'\n"


def test_a_broken_case_is_one_line_and_can_be_skipped(cli: Run, unrehearsed: None, tmp_path: Path) -> None:
    words = ("--cases", "3", "--shape", "16", "--layout", "2023")
    assert cli("phantom", str(tmp_path / "heads"), *words).code == 0
    (tmp_path / "heads" / "BraTS-GLI-00001-000" / "BraTS-GLI-00001-000-t2w.nii.gz").write_bytes(b"broken")
    arguments = ("train", str(tmp_path / "heads"), *SMALL, "--steps", "1", "--out", str(tmp_path / "out"))
    ended = cli(*arguments)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("membench: case BraTS-GLI-00001-000: ")
    assert "BraTS-GLI-00001-000-t2w.nii.gz is broken" in ended.err
    skipped = cli(*arguments, "--skip-bad", "--json")
    assert skipped.code == 0
    assert list(json.loads(skipped.out)["left_out"]) == ["BraTS-GLI-00001-000"]
    assert "left out: case BraTS-GLI-00001-000" in " ".join(skipped.err.split())
