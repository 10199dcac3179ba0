"""nnU-Net's networks with its own loss and deep supervision, at its default 3-D plan: 128³, batch 2, fp16."""

from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import nn

from workloads import workload
from workloads.steps import image, train

SIZE, STAGES, CLASSES = 128, 6, 4
PLAN: dict[str, Any] = {
    "input_channels": 4, "n_stages": STAGES, "features_per_stage": (32, 64, 128, 256, 320, 320), "conv_op": nn.Conv3d,
    "kernel_sizes": 3, "strides": (1, 2, 2, 2, 2, 2), "num_classes": CLASSES, "n_conv_per_stage_decoder": 2,
    "conv_bias": True, "norm_op": nn.InstanceNorm3d, "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": nn.LeakyReLU, "nonlin_kwargs": {"inplace": True}, "deep_supervision": True,
}  # fmt: skip


def segment(network: nn.Module) -> None:
    weights = np.array([1 / 2**i for i in range(STAGES - 1)])
    weights[-1] = 0
    settings = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
    loss = DC_and_CE_loss(settings, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)
    supervised = DeepSupervisionWrapper(loss, weights / weights.sum())
    targets = [image(2, 1, *(SIZE >> i,) * 3) for i in range(STAGES - 1)]

    def sgd(parameters: Any, lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr, momentum=0.99, nesterov=True, weight_decay=3e-5)

    train(
        network, image(2, 4, SIZE, SIZE, SIZE), loss=lambda outputs: supervised(outputs, targets), optimizer=sgd,
        precision=torch.float16,
    )  # fmt: skip


@workload()
def plain() -> None:
    """nnU-Net PlainConvUNet, its loss, deep supervision."""
    segment(PlainConvUNet(n_conv_per_stage=2, **PLAN))


@workload()
def residual() -> None:
    """nnU-Net ResidualEncoderUNet, its loss, deep supervision."""
    segment(ResidualEncoderUNet(n_blocks_per_stage=(1, 3, 4, 6, 6, 6), **PLAN | {"n_conv_per_stage_decoder": 1}))
