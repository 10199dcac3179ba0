"""Trainings of a few steps on tiny phantoms."""

import csv
from pathlib import Path
from typing import Any

import msgspec
import nibabel as nib
import numpy as np
import pytest
import torch
from small import NETWORK, KilledAfter, KilledError, StoppedAfter, losses, prepared, small
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from membench.errors import MembenchError, UsageError
from membench.train.data import Prepared
from membench.train.distributed import Ranks
from membench.train.evaluate import score, write_prediction
from membench.train.parity import compare
from membench.train.result import Evaluation, Score, Step, TrainResult
from membench.train.run import train
from membench.train.step import Training

# Dropout, so that PyTorch's random numbers matter; several batches a step; two evaluations.
SPEC = small(network=msgspec.structs.replace(NETWORK, dropout=0.1), accumulate=2, evaluate_every=3, checkpoint_every=2)


@pytest.fixture(scope="module")
def data(phantoms: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(phantoms["2021"], tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def trained(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, Path]:
    """A training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("trained")
    return train(SPEC, data, folder, Ranks()), folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_killed_training_goes_on_to_the_same_losses(
    trained: tuple[TrainResult, Path], data: Prepared, tmp_path: Path, step: int
) -> None:
    with pytest.raises(KilledError):
        train(SPEC, data, tmp_path, Ranks(), watcher=KilledAfter(step))
    torch.manual_seed(99)  # another process has another state
    resumed = train(SPEC, data, tmp_path, Ranks())
    assert losses(resumed) == losses(trained[0])
    assert resumed.evaluations == trained[0].evaluations
    assert [int(row["step"]) for row in _rows(tmp_path / "steps.csv")] == list(range(1, 7))


def test_stopped_by_its_watcher_or_killed_after_a_minute_it_loses_nothing(
    trained: tuple[TrainResult, Path], data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = msgspec.structs.replace(SPEC, checkpoint_every=1000)
    with pytest.raises(KeyboardInterrupt):
        train(spec, data, tmp_path, Ranks(), watcher=StoppedAfter(1))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]["done"] == 1
    monkeypatch.setattr("membench.train.run.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KilledError):
        train(spec, data, tmp_path, Ranks(), watcher=KilledAfter(5))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]["done"] == 4
    assert losses(train(spec, data, tmp_path, Ranks())) == losses(trained[0])


def test_a_training_that_has_ended_is_not_run_again(
    trained: tuple[TrainResult, Path], data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "step", None)
    assert train(SPEC, data, trained[1], Ranks()) == trained[0]


def test_a_folder_of_another_training_is_refused(trained: tuple[TrainResult, Path], data: Prepared) -> None:
    before = {path: path.read_bytes() for path in trained[1].iterdir() if path.is_file()}
    with pytest.raises(UsageError, match="holds a training with other settings or data; choose another --out"):
        train(msgspec.structs.replace(SPEC, seed=1), data, trained[1], Ranks())
    assert {path: path.read_bytes() for path in trained[1].iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["checkpoint.pt", "result.json"])
def test_a_broken_file_is_named(data: Prepared, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(MembenchError, match=f"{name} cannot be read"):
        train(SPEC, data, tmp_path, Ranks())
    assert (tmp_path / name).read_bytes() == b"broken"


def test_metrics_are_csv_and_tensorboard_files(trained: tuple[TrainResult, Path]) -> None:
    result, folder = trained
    steps = _rows(folder / "steps.csv")
    assert [float(row["loss"]) for row in steps] == losses(result)
    rates = [float(row["learning_rate"]) for row in steps]
    assert rates[0] == SPEC.learning_rate
    assert rates == sorted(rates, reverse=True)
    assert rates[3] == pytest.approx(SPEC.learning_rate / 2)
    scores = _rows(folder / "scores.csv")
    assert [(row["step"], row["region"]) for row in scores] == [
        (step, region) for step in ("3", "6") for region in ("whole", "core", "enhancing")
    ]
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    assert [event.value for event in board.Scalars("loss")] == pytest.approx(losses(result))
    assert [event.step for event in board.Scalars("dice/whole")] == [3, 6]


def test_the_losses_of_strategies_agree(trained: tuple[TrainResult, Path], data: Prepared, tmp_path: Path) -> None:
    results = [
        train(small(steps=8, strategy=name), data, tmp_path / name, Ranks())
        for name in ("plain", "reversible", "reversible-sliced")
    ]
    parity = compare(results)
    assert parity is not None
    assert parity.agrees
    assert parity.largest_relative_loss_difference <= 1e-3
    assert losses(results[0])[0] != losses(results[0])[-1]
    # Not a comparison of something with itself: another seed does not agree.
    other = train(small(steps=8, seed=1), data, tmp_path / "other", Ranks())
    assert not compare([results[0], other]).agrees  # type: ignore[union-attr]


def test_accumulating_is_a_larger_batch(data: Prepared, tmp_path: Path) -> None:
    network = msgspec.structs.replace(NETWORK, norm="instance")
    found = [
        train(small(network=network, steps=2, **shape), data, tmp_path / str(shape["batch"]), Ranks())
        for shape in ({"batch": 2, "accumulate": 1}, {"batch": 1, "accumulate": 2})
    ]
    assert losses(found[0]) == pytest.approx(losses(found[1]), rel=1e-5)


def test_bf16_and_workers(data: Prepared, tmp_path: Path) -> None:
    half = train(small(steps=2, precision="bf16"), data, tmp_path / "half", Ranks(), workers=1)
    full = train(small(steps=2), data, tmp_path / "full", Ranks())
    assert losses(half) == pytest.approx(losses(full), rel=0.02)
    assert losses(half) != losses(full)
    with pytest.raises(UsageError, match="fp16 is for GPUs"):
        train(small(precision="fp16"), data, tmp_path / "fp16", Ranks())


@pytest.mark.parametrize("layout", ["2020", "2021", "2023", "msd"])
def test_a_prediction_lies_where_its_image_does(phantoms: dict[str, Path], tmp_path: Path, layout: str) -> None:
    """The truth, written as if it had been predicted, is the file of the truth: voxels, labels, affine."""
    data = prepared(phantoms[layout], tmp_path)
    for item, case in zip(data.training, data.training_cases, strict=True):
        path = write_prediction(tmp_path / "out", case, data.layout, item["truth"].bool(), item["affine"])
        written, truth, image = nib.load(path), nib.load(case.truth), nib.load(case.images[0])
        assert path.name == f"{case.name}.nii.gz"
        assert (np.asarray(written.dataobj) == np.asarray(truth.dataobj)).all()
        assert (written.affine == image.affine).all()
        assert nib.aff2axcodes(written.affine) == nib.aff2axcodes(image.affine)
        assert written.header.get_zooms() == image.header.get_zooms()[:3]
        assert written.get_data_dtype() == np.uint8


def test_what_is_written_is_what_was_scored(trained: tuple[TrainResult, Path], data: Prepared) -> None:
    (case,) = data.held_out_cases
    written = nib.load(trained[1] / "predictions" / f"{case.name}.nii.gz")
    found, truth = (np.asarray(image.dataobj) > 0 for image in (written, nib.load(case.truth)))
    whole = trained[0].final.scores[0]
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) == pytest.approx(whole.dice)


def test_scores() -> None:
    truth = torch.zeros(3, 12, 12, 12, dtype=torch.uint8)
    truth[0, 2:6, 2:6, 2:6] = 1
    truth[1, 2:6, 2:6, 2:6] = 1
    found = truth.bool()
    found[1] = torch.roll(found[1], 2, 0)
    whole, core, enhancing = score("case", found, truth, np.array([3.0, 1.0, 1.0]))
    assert (whole.dice, whole.hd95) == (1, 0)
    assert (core.dice, core.hd95) == (0.5, 6)
    assert (enhancing.dice, enhancing.hd95) == (1, None)
    found[2, 0, 0, 0] = True
    assert score("case", found, truth, np.ones(3))[2].dice == 0


def _made_up(strategy: str, losses: list[float], dice: float | None) -> TrainResult:
    scores = tuple(
        Score(case="a", region=region, dice=dice, hd95=None)
        for region in ("whole", "core", "enhancing")
        if dice is not None
    )
    rest: dict[str, Any] = {"learning_rate": 1.0, "seconds": 1.0, "cpu_seconds": 1.0}
    steps = tuple(Step(step=n, loss=loss, **rest) for n, loss in enumerate(losses, 1))
    last = Evaluation(step=len(losses), scores=scores)
    return TrainResult(spec=small(strategy=strategy), steps=steps, evaluations=(last,), peak=None, device="cpu")


def test_parity_finds_the_worst_step_and_strategy() -> None:
    plain = _made_up("plain", [2.0, 1.0, 0.5], 0.8)
    near = _made_up("reversible", [2.0, 1.0005, 0.5], 0.802)
    far = _made_up("reversible-sliced", [2.0, 1.0, 0.6], 0.81)
    assert compare([plain]) is None
    good = compare([plain, near])
    assert good is not None
    assert good.agrees
    assert good.largest_relative_loss_difference == pytest.approx(5e-4)
    assert good.dice_difference == pytest.approx(0.002)
    bad = compare([plain, near, far])
    assert bad is not None
    assert not bad.agrees
    assert [each.at_step for each in bad.differences] == [2, 3]
    assert bad.largest_relative_loss_difference == pytest.approx(0.2)
    assert compare([plain, far], loss_tolerance=0.3, dice_tolerance=0.02).agrees  # type: ignore[union-attr]


def test_a_loss_that_is_no_number_agrees_with_nothing() -> None:
    plain, broken = (_made_up("plain", [1.0, value], None) for value in (1.0, float("nan")))
    assert not compare([plain, broken]).agrees  # type: ignore[union-attr]
    assert not compare([broken, broken]).agrees  # type: ignore[union-attr]
    assert compare([plain, plain]).dice_difference is None  # type: ignore[union-attr]
