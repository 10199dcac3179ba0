"""Models, losses and steps as users write them, for the tests to name; some of them wrong."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Two(nn.Module):
    """Called with images and a name; gives a nest of outputs."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 2, 1)

    def forward(self, images: Tensor, *, classes: Tensor) -> dict[str, Any]:
        assert classes.dtype == torch.int64
        features = self.first(images)
        return {"logits": [self.last(features), (features,)], "classes": classes}


def conv(width: int = 8) -> nn.Module:
    return nn.Conv3d(4, width, 3, padding=1)


def squared(output: Tensor, target: Tensor) -> Tensor:
    return ((output - target) ** 2).mean()


def failing(output: Tensor) -> Tensor:
    raise ValueError("the loss was not to be had")


def nothing_trained() -> nn.Module:
    return nn.Identity()


def no_module() -> int:
    return 3


def training(device: torch.device, side: int) -> Callable[[], None]:
    """The step of a probe of `conv` with SGD, at full length."""
    model = conv().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.99)
    images = torch.randn(1, 4, side, side, side, device=device)

    def step() -> None:
        model(images).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def whole_step(device: torch.device) -> None:
    training(device, 16)()


def no_step(device: torch.device) -> int:
    return 3


number = 3
