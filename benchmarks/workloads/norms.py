"""Normalisation layers."""

import torch
from torch import nn

from workloads import workload
from workloads.steps import image, train


@workload()
def batch() -> None:
    """BatchNorm3d."""
    train(nn.BatchNorm3d(32), image(2, 32, 64, 64, 64, requires_grad=True))


@workload()
def batch_bf16() -> None:
    """BatchNorm3d, bf16, channels_last_3d."""
    x = image(2, 32, 64, 64, 64, dtype=torch.bfloat16).to(memory_format=torch.channels_last_3d).requires_grad_()
    train(nn.BatchNorm3d(32), x)


@workload()
def instance() -> None:
    """InstanceNorm3d, affine."""
    train(nn.InstanceNorm3d(32, affine=True), image(2, 32, 64, 64, 64, requires_grad=True))


@workload()
def group() -> None:
    """GroupNorm."""
    train(nn.GroupNorm(8, 32), image(2, 32, 64, 64, 64, requires_grad=True))


@workload()
def layer() -> None:
    """LayerNorm."""
    train(nn.LayerNorm(768), image(8, 1024, 768, requires_grad=True))


@workload()
def rms() -> None:
    """RMSNorm."""
    train(nn.RMSNorm(768), image(8, 1024, 768, requires_grad=True))
