"""What is minimised: MONAI's losses are what they are said to be, and the one in slabs is the same."""

from typing import get_args

import pytest
import torch
from small import small
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from membench.train.losses import get_loss
from membench.train.spec import Loss
from membench.train.step import Training


def _dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Milletari et al., V-Net, 2016, with plain sums below."""
    p, volume = logits.sigmoid(), (2, 3, 4)
    overlap, total = (p * truth).sum(volume), p.sum(volume) + truth.sum(volume)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def _dice_and_bce(logits: Tensor, truth: Tensor) -> Tensor:
    return _dice(logits, truth) + binary_cross_entropy_with_logits(logits, truth)


EXPECTED = {"monai-dice-bce": _dice_and_bce, "monai-dice": _dice, "dice-bce-slabs": _dice_and_bce}


@pytest.mark.parametrize("name", get_args(Loss))
def test_a_training_minimises_the_loss_that_it_names(name: Loss) -> None:
    torch.manual_seed(0)
    images, truth = torch.randn(2, 4, 8, 8, 8), torch.randint(2, (2, 3, 8, 8, 8), dtype=torch.uint8)
    training = Training(small(loss=name), torch.device("cpu"))
    logits = training.network(images)
    loss = EXPECTED[name](logits, truth.float())
    (expected,) = torch.autograd.grad(loss, logits)
    logits = logits.detach().requires_grad_()
    get_loss(name)(logits, truth).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logits.grad, expected)
    assert training.step([(images, truth)]) == pytest.approx(loss.item(), rel=1e-5)
