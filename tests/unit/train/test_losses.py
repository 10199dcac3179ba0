"""What is minimised: the house's loss is MONAI's in slabs, and MONAI's own are chosen by name."""

from typing import get_args

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from small import small
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from membench.train.losses import get_loss
from membench.train.spec import Loss
from membench.train.step import Training


def _dice_and_bce(logits: Tensor, truth: Tensor) -> Tensor:
    dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)(logits, truth)
    return dice + binary_cross_entropy_with_logits(logits, truth)  # type: ignore[no-any-return]


EXPECTED = {
    "dice-bce-slabs": _dice_and_bce,
    "monai-dice-ce": DiceCELoss(sigmoid=True),
    "monai-dice": DiceLoss(sigmoid=True),
}


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
