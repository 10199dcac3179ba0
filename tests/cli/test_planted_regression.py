"""A regression is planted in a user's network: it is caught, named, and gone when it is taken out again."""

from pathlib import Path

import pytest
from running import Run

NETWORK = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.convolution = nn.Conv3d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.convolution(x)
        return torch.relu_(y)


def network(channels):
    return nn.Sequential(*(Block(channels) for _ in range(3)))
"""
EXTRA = "return torch.relu_(y) * x.sigmoid()"  # keeps both factors, and what the sigmoid gave
CASES = """
[[case]]
name = "mine"
model = "net:network"
arguments = { channels = 8 }
input = "1x8x32x32x32"
"""


@pytest.mark.slow
def test_a_planted_regression_is_caught_named_and_gone(program: Run, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "membench.toml").write_text(CASES)
    written = program("check", "--update")
    assert written.code == 0, written.err
    (tmp_path / "net.py").write_text(NETWORK.replace("return torch.relu_(y)", EXTRA))
    planted = program("check", "--format", "markdown", "--output", "out.md")
    assert planted.code == 1
    assert "✗ mine" in planted.out
    assert "category activation +" in planted.out
    line = next(number for number, text in enumerate(NETWORK.splitlines(), 1) if "return torch.relu_" in text)
    named = [text for text in planted.out.splitlines() if text.startswith("    module ")]
    assert {text.split()[1] for text in named} >= {"0", "1", "2"}
    assert all(f"(net.py:{line} in forward)" in text for text in named if text.split()[1] in ("0", "1"))
    (tmp_path / "net.py").write_text(NETWORK)
    assert program("check").code == 0
