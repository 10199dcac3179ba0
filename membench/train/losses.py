"""What is minimised, by name."""

from collections.abc import Callable

from torch import Tensor

from membench.models import segmentation_loss
from membench.train.spec import Loss

Criterion = Callable[[Tensor, Tensor], Tensor]


def get_loss(name: Loss) -> Criterion:
    """The loss of logits (N, 3, X, Y, Z) and regions (N, 3, X, Y, Z), uint8; each region has its own sigmoid.

    ``dice-bce-slabs`` is MONAI's Dice loss with its smooth_nr and smooth_dr at 1, plus binary cross-entropy, gone
    through in slabs of the volume. The others are MONAI's own with their defaults, which hold several tensors of the
    logits' size. The cross-entropy in its DiceCELoss is over a softmax of the regions.
    """
    if name == "dice-bce-slabs":
        return segmentation_loss
    from monai.losses import DiceCELoss, DiceLoss

    monai = {"monai-dice-ce": DiceCELoss, "monai-dice": DiceLoss}[name](sigmoid=True)
    # As float, which MONAI's own trainings on BraTS give it.
    return lambda logits, truth: monai(logits, truth.float())
