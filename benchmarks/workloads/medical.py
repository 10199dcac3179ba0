"""MONAI's networks."""

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNETR, DynUNet, SegResNet, SwinUNETR, UNet
from torch import nn

from workloads import workload
from workloads.steps import image, train

SIZE = 96


def segment(network: nn.Module) -> None:
    loss, target = DiceCELoss(softmax=True, to_onehot_y=True), image(1, 1, SIZE, SIZE, SIZE)
    train(
        network, image(1, 4, SIZE, SIZE, SIZE), loss=lambda y: loss(y, target), optimizer=torch.optim.AdamW,
        precision=torch.float16,
    )  # fmt: skip


@workload()
def unet() -> None:
    """MONAI UNet."""
    segment(UNet(3, 4, 3, channels=(32, 64, 128, 256, 512), strides=(2, 2, 2, 2), num_res_units=2))


@workload()
def dynunet() -> None:
    """MONAI DynUNet, deep supervision off."""
    kernels, strides = [3] * 5, [1, 2, 2, 2, 2]
    segment(DynUNet(3, 4, 3, kernels, strides, strides[1:], res_block=True))


@workload()
def segresnet() -> None:
    """MONAI SegResNet."""
    segment(SegResNet(3, 16, 4, 3, dropout_prob=0.2))


@workload()
def swin_unetr() -> None:
    """MONAI SwinUNETR."""
    segment(SwinUNETR(4, 3, feature_size=24))


@workload()
def unetr() -> None:
    """MONAI UNETR."""
    segment(UNETR(4, 3, (SIZE, SIZE, SIZE)))
