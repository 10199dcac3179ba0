"""The loss against a plain calculation, value by value."""

import math

import pytest
import torch

from membench.errors import UsageError
from membench.models import segmentation_loss


def _reference(logits: torch.Tensor, target: torch.Tensor, smooth: float) -> float:
    entropy, dice = [], []
    for case, truth in zip(logits.tolist(), target.tolist(), strict=True):
        for region, region_truth in zip(case, truth, strict=True):
            values = torch.tensor(region).flatten().tolist()
            labels = torch.tensor(region_truth).flatten().tolist()
            p = [1 / (1 + math.exp(-value)) for value in values]
            entropy += [-math.log(q if label else 1 - q) for q, label in zip(p, labels, strict=True)]
            overlap = sum(q for q, label in zip(p, labels, strict=True) if label)
            dice.append(1 - (2 * overlap + smooth) / (sum(p) + sum(labels) + smooth))
    return sum(dice) / len(dice) + sum(entropy) / len(entropy)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32, torch.int64])
@pytest.mark.parametrize("smooth", [1.0, 1e-5])
def test_value(dtype, smooth):
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 3, 2, 3, 4)
    target = torch.randint(2, logits.shape).to(dtype)
    target[0, 2] = 0  # a case without this region
    assert segmentation_loss(logits, target, smooth=smooth).item() == pytest.approx(
        _reference(logits, target, smooth), rel=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float64, torch.int64])
@pytest.mark.parametrize("shape", [(2, 2, 2, 2, 2), (1, 2, 17, 1, 2)], ids=["fewer than slabs", "uneven slabs"])
def test_gradient(shape, dtype):
    torch.manual_seed(0)
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    target = torch.randint(2, logits.shape).to(dtype)
    assert torch.autograd.gradcheck(lambda z: 3 * segmentation_loss(z, target), logits)


def test_large_logits_stay_finite():
    logits = torch.tensor([-1e4, 1e4, 50.0, -50.0]).reshape(1, 1, 1, 1, 4).requires_grad_()
    target = torch.tensor([1, 0, 1, 0], dtype=torch.uint8).reshape(logits.shape)
    loss = segmentation_loss(logits, target)
    loss.backward()
    assert 5000 < loss.item() < 5001
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_a_perfect_answer_costs_nothing():
    target = torch.randint(2, (1, 3, 4, 4, 4), dtype=torch.uint8)
    assert segmentation_loss((target.float() - 0.5) * 100, target).item() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    logits = torch.zeros(1, 3, 64, 64, 64, dtype=dtype)
    loss = segmentation_loss(logits, torch.ones_like(logits, dtype=torch.uint8))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1 / 3 + math.log(2), abs=1e-4)


def test_logits_and_target_are_all_that_is_kept():
    logits = torch.randn(1, 3, 8, 8, 8, requires_grad=True)
    target = torch.randint(2, logits.shape, dtype=torch.uint8)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        segmentation_loss(logits, target)
    small = 64  # the sums for each sample and region
    assert sum(size for size in kept.values() if size > small) == logits.nbytes + target.nbytes


@pytest.mark.parametrize("shape", [(1, 3, 4, 4, 5), (1, 1, 4, 4, 4), (3, 4, 4, 4)])
def test_shapes_must_agree(shape):
    with pytest.raises(UsageError, match="must be alike"):
        segmentation_loss(torch.zeros(1, 3, 4, 4, 4), torch.zeros(shape))
    with pytest.raises(UsageError, match="must be alike"):
        segmentation_loss(torch.zeros(3, 4, 4, 4), torch.zeros(3, 4, 4, 4))
