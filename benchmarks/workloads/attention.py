"""Scaled-dot-product attention, by backend."""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from workloads import workload
from workloads.steps import image, train


def attend(backend: SDPBackend) -> None:
    q, k, v = (image(4, 12, 1024, 64, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    with sdpa_kernel(backend):
        functional.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()


@workload()
def flash() -> None:
    """scaled_dot_product_attention, flash."""
    attend(SDPBackend.FLASH_ATTENTION)


@workload()
def efficient() -> None:
    """scaled_dot_product_attention, memory-efficient."""
    attend(SDPBackend.EFFICIENT_ATTENTION)


@workload()
def math() -> None:
    """scaled_dot_product_attention, math."""
    attend(SDPBackend.MATH)


@workload()
def cudnn() -> None:
    """scaled_dot_product_attention, cuDNN."""
    attend(SDPBackend.CUDNN_ATTENTION)


@workload()
def transformer() -> None:
    """TransformerEncoderLayer, bf16."""
    train(nn.TransformerEncoderLayer(512, 8, batch_first=True), image(4, 512, 512), precision=torch.bfloat16)
