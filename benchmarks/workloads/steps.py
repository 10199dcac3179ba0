"""Training steps for workloads."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

STEPS = 2  # the second has the optimizer's state and reuses what the first freed


def image(*shape: int, **options: Any) -> torch.Tensor:
    return torch.zeros(*shape, device="cuda", **options)


def labels(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=torch.long, device="cuda")


def mean(output: Any) -> torch.Tensor:
    """A loss of whatever a network gives: a tensor, or tensors in containers."""
    if isinstance(output, torch.Tensor):
        return output.float().mean()
    values = output.values() if isinstance(output, dict) else output
    return sum((mean(value) for value in values), start=torch.zeros((), device="cuda"))


def train(
    network: nn.Module,
    *inputs: torch.Tensor,
    loss: Callable[[Any], torch.Tensor] = mean,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    precision: torch.dtype | None = None,
) -> None:
    """Steps on the same inputs; float16 with a gradient scaler, as everywhere."""
    network.cuda().train()
    updates = optimizer(network.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cuda", enabled=precision is torch.float16)
    for _ in range(STEPS):
        with torch.autocast("cuda", dtype=precision, enabled=precision is not None):
            value = loss(network(*inputs))
        scaler.scale(value).backward()
        scaler.step(updates)
        scaler.update()
        updates.zero_grad()
