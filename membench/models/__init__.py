"""3-D U-Nets from a record, run under interchangeable memory strategies."""

from membench.models.build import build, parameter_count
from membench.models.loss import segmentation_loss
from membench.models.strategies import Strategy, get_strategy, register, strategies
from membench.models.unet import UNet3d

__all__ = [
    "Strategy",
    "UNet3d",
    "build",
    "get_strategy",
    "parameter_count",
    "register",
    "segmentation_loss",
    "strategies",
]
