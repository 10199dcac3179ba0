"""Convolutions: what cuDNN is asked to plan, and what bypasses it."""

import torch
from torch import nn

from workloads import workload
from workloads.steps import image, train


@workload()
def plain_2d() -> None:
    """Conv2d."""
    train(nn.Conv2d(32, 64, 3, padding=1), image(8, 32, 128, 128))


@workload()
def plain_3d() -> None:
    """Conv3d."""
    train(nn.Conv3d(32, 64, 3, padding=1), image(2, 32, 64, 64, 64))


@workload()
def transposed_2d() -> None:
    """ConvTranspose2d."""
    train(nn.ConvTranspose2d(64, 32, 2, 2), image(8, 64, 64, 64))


@workload()
def transposed_3d() -> None:
    """ConvTranspose3d."""
    train(nn.ConvTranspose3d(64, 32, 2, 2), image(2, 64, 32, 32, 32))


@workload()
def grouped_2d() -> None:
    """Conv2d, grouped."""
    train(nn.Conv2d(64, 64, 3, padding=1, groups=8), image(8, 64, 64, 64))


@workload()
def grouped_3d() -> None:
    """Conv3d, grouped."""
    train(nn.Conv3d(64, 64, 3, padding=1, groups=8), image(2, 64, 32, 32, 32))


@workload()
def depthwise_2d() -> None:
    """Conv2d, depthwise."""
    train(nn.Conv2d(64, 64, 3, padding=1, groups=64), image(8, 64, 64, 64))


@workload()
def depthwise_3d() -> None:
    """Conv3d, depthwise."""
    train(nn.Conv3d(64, 64, 3, padding=1, groups=64), image(2, 64, 32, 32, 32))


@workload()
def dilated_2d() -> None:
    """Conv2d, dilated."""
    train(nn.Conv2d(32, 32, 3, padding=2, dilation=2), image(8, 32, 64, 64))


@workload()
def dilated_3d() -> None:
    """Conv3d, dilated."""
    train(nn.Conv3d(32, 32, 3, padding=2, dilation=2), image(2, 32, 32, 32, 32))


@workload()
def channels_last_2d() -> None:
    """Conv2d, channels_last, bf16."""
    network = nn.Conv2d(32, 64, 3, padding=1).to(memory_format=torch.channels_last)
    train(network, image(8, 32, 128, 128).to(memory_format=torch.channels_last), precision=torch.bfloat16)


@workload()
def channels_last_3d() -> None:
    """Conv3d and BatchNorm3d, channels_last_3d, fp16."""
    network = nn.Sequential(nn.Conv3d(32, 64, 3, padding=1), nn.BatchNorm3d(64), nn.ReLU())
    network.to(memory_format=torch.channels_last_3d)
    train(network, image(2, 32, 64, 64, 64).to(memory_format=torch.channels_last_3d), precision=torch.float16)


@workload()
def benchmark() -> None:
    """Conv3d with cudnn.benchmark=True."""
    torch.backends.cudnn.benchmark = True
    train(nn.Conv3d(32, 64, 3, padding=1), image(2, 32, 64, 64, 64))


@workload()
def deterministic() -> None:
    """Conv3d with deterministic algorithms."""
    torch.use_deterministic_algorithms(True)
    train(nn.Conv3d(32, 64, 3, padding=1), image(2, 32, 64, 64, 64))


@workload()
def tf32_off() -> None:
    """Conv3d and Linear, TF32 off."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    train(nn.Sequential(nn.Conv3d(32, 64, 3, padding=1), nn.Linear(64, 64)), image(2, 32, 64, 64, 64))


@workload()
def tf32_on() -> None:
    """Conv3d and Linear, TF32 on."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    train(nn.Sequential(nn.Conv3d(32, 64, 3, padding=1), nn.Linear(64, 64)), image(2, 32, 64, 64, 64))


@workload()
def beyond_31_bits() -> None:
    """Conv3d over 2³¹ elements."""
    with torch.no_grad():
        nn.Conv3d(64, 32, 3, padding=1).cuda().half()(image(1, 64, 362, 370, 251, dtype=torch.half))
