"""The tables and curves of the parity benchmark, from trainings that are made up."""

from pathlib import Path

import parity
import pytest

from membench.spec import NetworkSpec
from membench.train.layouts import REGIONS
from membench.train.parity import compare
from membench.train.result import Evaluation, Peak, Score, Step, TrainResult

LARGE = {"plain": 2**30, "reversible": 2**20}


def made_up(strategy: str, losses: list[float], dice: float) -> TrainResult:
    steps = tuple(
        Step(step=n, loss=loss, learning_rate=0.1, seconds=2.0, cpu_seconds=1.0) for n, loss in enumerate(losses, 1)
    )
    scores = tuple(Score(case="a", region=region, dice=dice, hd95=2.5) for region in REGIONS)
    return TrainResult(
        spec=parity.TrainSpec(network=NetworkSpec(), strategy=strategy),
        steps=steps,
        evaluations=(Evaluation(step=len(losses), scores=scores),),
        peak=Peak(status="fits", device="a100-40gb", kind="emulated", allocated_bytes=3 * 2**20),
        device="cpu",
    )


@pytest.fixture
def trained() -> dict[str, list[TrainResult]]:
    plain, other = made_up("plain", [2.0, 1.0], 0.8), made_up("reversible", [2.0, 1.0004], 0.81)
    return {"parity": [plain, other], "learning": [made_up("reversible", [1.0, 0.5], 0.9)]}


def test_a_row_for_each_training(trained: dict[str, list[TrainResult]]) -> None:
    rows = parity.table(trained, LARGE)
    assert list(rows["training"]) == ["parity", "parity", "learning"]
    assert list(rows["largest_relative_loss_difference"]) == pytest.approx([0, 4e-4, 0])
    assert list(rows["cpu_seconds"]) == [2, 2, 2]
    assert list(rows["mean_dice"]) == pytest.approx([0.8, 0.81, 0.9])


def test_the_table_for_people_says_whether_they_agree(trained: dict[str, list[TrainResult]]) -> None:
    found = compare(trained["parity"])
    assert found is not None
    text = parity.markdown(parity.table(trained, LARGE), found)
    assert "The strategies do not agree" in text  # Dice differs by 0.01
    assert "| parity | `reversible` | 2 | 1.0004 | 4.0e-04 | 0.810, 0.810, 0.810 | 0.810 |" in text
    assert "| 3.00 MiB | 1.00 GiB |" in text


def test_the_curves_can_be_drawn(trained: dict[str, list[TrainResult]]) -> None:
    figure = parity.draw(trained)
    assert len(figure.axes) == 3
    assert parity.render(figure, "svg") == parity.render(parity.draw(trained), "svg")


def test_the_committed_result_is_what_the_benchmark_claims() -> None:
    rows = parity.pd.read_csv(Path(__file__).parents[2] / "benchmarks" / "results" / "parity.csv")
    side_by_side, learning = (rows[rows.training == name] for name in ("parity", "learning"))
    assert list(side_by_side.strategy) == list(parity.STRATEGIES)
    assert set(side_by_side.steps) == {parity.PARITY.steps}
    assert side_by_side.largest_relative_loss_difference.max() <= 1e-3
    assert (side_by_side.mean_dice.max() - side_by_side.mean_dice.min()) <= 0.005
    assert learning.mean_dice.min() >= parity.LEARNT
