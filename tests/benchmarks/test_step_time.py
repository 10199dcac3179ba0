"""Operations against hand counts, ratios against steps whose times are known, and a real run of the smallest kind."""

import json
import time
from collections.abc import Iterator

import pytest
import step_time
import torch
import typer
from torch import nn
from torch.nn.functional import conv3d, conv_transpose3d
from typer.testing import CliRunner

from membench.errors import UsageError
from membench.models import build, segmentation_loss, timing
from membench.models.cost import count_operations
from membench.models.timing import compare
from membench.spec import NetworkSpec

VOXELS = 4 * 4 * 4
# One stage with one block: F and G on 8 channels, 16 hidden. Halves of full width could not be cut in slices.
TINY = NetworkSpec(base_channels=16, stages=1, blocks=1, expansion=2, norm_groups=2)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Comparing sets the number of threads of the process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _backward_of(make: object) -> int:
    y = make()  # type: ignore[operator]
    return count_operations(lambda: y.sum().backward())


def test_a_depthwise_convolution_is_counted_by_channel() -> None:
    x, weight = torch.randn(2, 6, 4, 4, 4, requires_grad=True), torch.randn(6, 1, 3, 3, 3, requires_grad=True)
    once = 2 * 2 * 6 * VOXELS * 27
    assert count_operations(lambda: conv3d(x, weight, padding=1, groups=6)) == once
    assert _backward_of(lambda: conv3d(x, weight, padding=1, groups=6)) == 2 * once
    assert _backward_of(lambda: conv3d(x.detach(), weight, padding=1, groups=6)) == once


def test_a_transposed_convolution_in_groups_is_counted_at_its_input() -> None:
    x, weight = torch.randn(1, 6, 4, 4, 4, requires_grad=True), torch.randn(6, 2, 2, 2, 2, requires_grad=True)
    once = 2 * 6 * 2 * VOXELS * 8
    assert count_operations(lambda: conv_transpose3d(x, weight, stride=2, groups=3)) == once
    assert _backward_of(lambda: conv_transpose3d(x, weight, stride=2, groups=3)) == 2 * once


def test_products_are_counted_in_place_too() -> None:
    a, b, target = torch.randn(2, 3, 4), torch.randn(2, 4, 5), torch.randn(2, 3, 5)
    once = 2 * 2 * 3 * 4 * 5
    assert count_operations(lambda: torch.bmm(a, b)) == once
    assert count_operations(lambda: torch.baddbmm(target, a, b)) == once
    assert count_operations(lambda: target.baddbmm_(a, b)) == once


def _operations(strategy: str, expansion: int = 2) -> int:
    network = build(TINY, strategy)
    x, target = torch.randn(1, 4, 4, 4, 4), torch.zeros(1, 3, 4, 4, 4, dtype=torch.uint8)
    return count_operations(lambda: segmentation_loss(network(x), target).backward())


def _of_the_function() -> tuple[int, int, int]:
    """One run of expand, depthwise and project: 8 -> 16 -> 16 -> 8 channels."""
    return 2 * 8 * 16 * VOXELS, 2 * 27 * 16 * VOXELS, 2 * 16 * 8 * VOXELS


def test_recomputation_shows() -> None:
    function = sum(_of_the_function())
    # The image wants no gradient, so the stem has one product backward; the head has two.
    ends = 2 * (2 * 27 * 4 * 16 * VOXELS) + 3 * (2 * 16 * 3 * VOXELS)
    assert _operations("plain") == ends + 2 * 3 * function
    assert _operations("checkpoint") == ends + 2 * 4 * function
    assert _operations("reversible") == ends + 2 * 4 * function
    assert _operations("selective") == ends + 2 * (4 * function - _of_the_function()[1])


def test_slices_recompute_every_function_twice() -> None:
    """Once to subtract it and once to differentiate it; at least that, and not a third time."""
    function = sum(_of_the_function())
    assert _operations("plain") + 2 * 1.5 * function < _operations("reversible-sliced")
    assert _operations("reversible-sliced") < _operations("plain") + 2 * 3 * function


def test_ratios_are_taken_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = {"plain": 1.0, "checkpoint": 1.5, "reversible": 3.0}
    load = iter([1.0, 1.0, 1.0, 40.0, 40.0, 40.0, 7.0, 7.0, 7.0])  # what else the machine does in each step
    order = []

    class Scripted:
        operations = 100

        def __init__(self, network: object, volume: object, strategy: str, device: str) -> None:
            if strategy not in speed:
                raise UsageError("no such thing")
            self.strategy = strategy

        def warm_up(self) -> None:
            pass

        def step(self) -> tuple[float, float]:
            order.append(self.strategy)
            seconds = speed[self.strategy] * next(load)
            return seconds / 4, 3 * seconds / 4

    monkeypatch.setattr(timing, "_Runner", Scripted)
    found = {row.strategy: row for row in compare(TINY, (4, 4, 4), ["checkpoint", "bad", "reversible"], rounds=3)}
    assert list(found) == ["plain", "checkpoint", "bad", "reversible"]
    assert order[:6] == ["plain", "checkpoint", "reversible", "reversible", "checkpoint", "plain"]
    for name, times in speed.items():
        assert (found[name].lowest, found[name].ratio, found[name].highest) == pytest.approx((times, times, times))
        assert found[name].backward_seconds == pytest.approx(3 * found[name].forward_seconds)
    assert (found["bad"].error, found["bad"].ratio) == ("UsageError: no such thing", 0.0)


def test_a_baseline_that_fails_is_an_error() -> None:
    with pytest.raises(UsageError, match="norm groups do not divide"):
        compare(NetworkSpec(base_channels=7), (8, 8, 8), ["checkpoint"])


def test_a_slower_strategy_is_measured_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(TINY, "plain")

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
            return self.network(x)

    monkeypatch.setattr(timing, "build", lambda spec, name, device: Slow() if name == "slow" else network)
    plain, slow = compare(TINY, (4, 4, 4), ["slow"], rounds=3)
    assert slow.forward_seconds > 0.05 > plain.forward_seconds
    assert slow.ratio > 1.5
    assert slow.operations_ratio == 1.0


def test_the_script_prints_one_document() -> None:
    app = typer.Typer()
    app.command()(step_time.main)
    options = ["--volume", "8", "--stages", "1", "--blocks", "1", "--rounds", "1", "--base-channels", "16", "--json"]
    ended = CliRunner().invoke(app, ["--strategy", "reversible", *options])
    assert ended.exit_code == 0, ended.output
    rows = json.loads(ended.stdout)["strategies"]
    assert [row["strategy"] for row in rows] == ["plain", "reversible"]
    assert rows[1]["operations"] > rows[0]["operations"] > 0
    assert rows[1]["ratio"] > 0
