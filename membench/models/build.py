"""A network record becomes a network on a device."""

from contextlib import nullcontext
from functools import lru_cache

import torch

from membench.models.strategies import Strategy, get_strategy
from membench.models.unet import UNet3d
from membench.spec import NetworkSpec


def build(
    network: NetworkSpec, strategy: str | Strategy = "plain", *, device: torch.device | str | None = None
) -> UNet3d:
    """Build a network whose parameters are created, and initialised, directly on ``device``.

    The strategy has no say in the parameters: the same seed gives the same values under every strategy. They are
    float32 (PyTorch's default dtype) and initialised as PyTorch initialises each layer.

    Raises:
        UsageError: the network cannot be built, the strategy is unknown, or the network cannot run under it.
    """
    network.validate()
    chosen = get_strategy(strategy) if isinstance(strategy, str) else strategy
    chosen.check(network)
    with nullcontext() if device is None else torch.device(device):
        built = UNet3d(network)
    built.use_strategy(chosen)
    return built


@lru_cache
def parameter_count(network: NetworkSpec) -> int:
    """Count the trainable numbers of a network without allocating them.

    Raises:
        UsageError: the network cannot be built.
    """
    return sum(parameter.numel() for parameter in build(network, device="meta").parameters())
