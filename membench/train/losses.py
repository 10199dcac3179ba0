"""What is minimised, by name."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from membench.models import segmentation_loss
from membench.train.spec import Loss

Criterion = Callable[[Tensor, Tensor], Tensor]


def get_loss(name: Loss) -> Criterion:
    """The loss of logits (N, 3, X, Y, Z) and regions (N, 3, X, Y, Z), uint8; each region has its own sigmoid.

    ``monai-dice`` is MONAI's DiceLoss, its smooth_nr and smooth_dr at 1 voxel, and ``monai-dice-bce`` the sum of it
    and PyTorch's binary cross-entropy (MONAI's DiceCELoss would take a softmax over regions that overlap). They hold
    several tensors of the logits' size. ``dice-bce-slabs`` is the same sum, gone through in slabs of the volume.
    """
    if name == "dice-bce-slabs":
        return segmentation_loss
    from monai.losses import DiceLoss

    dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)
    # As float, which MONAI's own trainings on BraTS give it.
    return partial(_monai, dice, cross_entropy=name == "monai-dice-bce")


def _monai(dice: Criterion, logits: Tensor, truth: Tensor, *, cross_entropy: bool) -> Tensor:
    truth = truth.float()
    loss = dice(logits, truth)
    return loss + binary_cross_entropy_with_logits(logits, truth) if cross_entropy else loss
