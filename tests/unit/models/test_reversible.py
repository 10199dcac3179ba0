"""What strategy `reversible` refuses, and what it does not mind."""

import pytest
import torch
from torch import nn

from membench.errors import UsageError
from membench.models import build, get_strategy
from membench.models.blocks import Residual


@pytest.mark.parametrize("changed", ["output", "parameter"])
def test_changes_under_the_reconstruction_are_refused(changed, coupling):
    y = get_strategy("reversible").run([coupling], torch.randn(3, 4, dtype=torch.float64))
    loss = y.sum()
    with torch.no_grad():
        (y if changed == "output" else coupling.f.weight).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_changed_input_does_no_harm(coupling):
    source = torch.randn(3, 4, dtype=torch.float64)
    gradients = []
    for change in (0, 1):
        x = source.clone()
        y = get_strategy("reversible").run([coupling], x)
        x.add_(change)
        gradients.append(torch.autograd.grad(y.square().sum(), list(coupling.parameters())))
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_second_derivatives_are_refused(coupling):
    y = get_strategy("reversible").run([coupling], torch.randn(3, 4, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(y.square().sum(), list(coupling.parameters()), create_graph=True)


def test_blocks_without_an_inverse_are_refused(small):
    with pytest.raises(UsageError, match="no inverse"):
        build(small(coupling="none"), "reversible")
    with pytest.raises(UsageError, match="not Residual"):
        get_strategy("reversible").run([Residual(nn.Linear(4, 4))], torch.randn(3, 4))
