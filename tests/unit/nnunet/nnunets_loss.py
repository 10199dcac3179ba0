"""The step of membench.nnunet with the losses of the installed nnunetv2 in the place of ours."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import Tensor

from membench.nnunet import step


class TheirLoss:
    """As ``nnUNetTrainer._build_loss`` makes it."""

    def __init__(self, *, batch_dice: bool, regions: bool) -> None:
        dice = {"batch_dice": batch_dice, "smooth": 1e-5, "ddp": False}
        if regions:
            self.loss = DC_and_BCE_loss({}, dice | {"do_bg": True}, dice_class=MemoryEfficientSoftDiceLoss)
        else:
            self.loss = DC_and_CE_loss(dice | {"do_bg": False}, {}, dice_class=MemoryEfficientSoftDiceLoss)

    def __call__(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        weights = [1 / 2**level for level in range(len(outputs))]
        weights[-1] = 0
        return DeepSupervisionWrapper(self.loss, [weight / sum(weights) for weight in weights])(outputs, targets)


def training(device: torch.device, **arguments: Any) -> Callable[[], None]:
    step.Loss = TheirLoss
    return step.training(device, **arguments)
