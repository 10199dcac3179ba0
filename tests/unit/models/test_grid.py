"""Under autocast what is added can be taken away again to the bit; in full precision nothing is rounded."""

import pytest
import torch

from membench.models import build
from membench.models.strategies.couple import add_all, couple, undo_all
from membench.models.strategies.grid import round_to_grid
from membench.models.strategies.replay import Conditions
from membench.spec import NetworkSpec


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_a_deep_stage_is_reconstructed_exactly_under_autocast(slices: int) -> None:
    torch.manual_seed(0)
    network = build(NetworkSpec(base_channels=16, stages=1, blocks=12, norm_groups=4, expansion=2))
    x = torch.randn(1, 16, 8, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        conditions = Conditions(x.device)
        steps = couple(list(network.encoder[0].blocks), conditions, slices, room=8)
        entered = conditions.settle(x.clone())
        h = entered.clone()
        add_all(steps, h)
        assert not torch.equal(h, entered)
        undo_all(steps, h, torch.ones_like(h), {})
    assert torch.equal(h, entered)


def test_the_grid_is_finer_than_half_precision_and_left_out_of_full_precision() -> None:
    x = torch.randn(1000)
    assert (round_to_grid(x.clone()) - x).abs().max() <= 2**-19
    conditions = Conditions(x.device)
    assert torch.equal(conditions.settle(x.clone()), x)
    total = x.clone()
    conditions.accumulate(total, x)
    assert torch.equal(total, 2 * x)
