"""The convolution of PyTorch issue 95024: one forward pass without gradients."""

import torch
from peaks import Step, tell_peak


def convolution() -> Step:
    images = torch.randn(1, 64, 361, 370, 251, device="cuda", dtype=torch.half)
    layer = torch.nn.Conv3d(64, 32, 3, padding=1).cuda().half()

    def step() -> None:
        with torch.no_grad():
            layer(images)

    return step


if __name__ == "__main__":
    tell_peak("Conv3d 1x64x361x370x251", convolution, warm_up=False)
