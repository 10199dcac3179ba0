"""What the reversible strategies refuse, and what they do not mind."""

import pytest
import torch
from torch import nn

from membench.errors import UsageError
from membench.models import build, get_strategy
from membench.models.blocks import Residual

pytestmark = pytest.mark.parametrize("strategy", ["reversible", "reversible-sliced"])


@pytest.mark.parametrize("changed", ["output", "parameter"])
def test_changes_under_the_reconstruction_are_refused(strategy, changed, coupling):
    y = get_strategy(strategy).run([coupling], torch.randn(3, 4, dtype=torch.float64))
    loss = y.sum()
    with torch.no_grad():
        (y if changed == "output" else coupling.f.weight).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("changed", ["input", "stem.weight", "encoder.1.blocks.0.f.expand.weight", "head.weight"])
def test_changes_under_a_network_are_refused(strategy, changed, small, network_of):
    network = network_of(small(), strategy)
    x = torch.randn(1, 4, 4, 4, 4, dtype=torch.float64)
    loss = network(x).sum()
    with torch.no_grad():
        (x if changed == "input" else network.get_parameter(changed)).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_changed_input_of_a_stage_does_no_harm(strategy, coupling):
    source = torch.randn(3, 4, dtype=torch.float64)
    gradients = []
    for change in (0, 1):
        x = source.clone()
        y = get_strategy(strategy).run([coupling], x)
        x.add_(change)
        gradients.append(torch.autograd.grad(y.square().sum(), list(coupling.parameters())))
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_changed_logits_do_no_harm(strategy, small, network_of, assert_same):
    """The backward pass starts from what the levels hold, not from what was made of them."""
    x = torch.randn(1, 4, 4, 4, 6, dtype=torch.float64)
    results = []
    for function in (torch.sigmoid, torch.sigmoid_):
        network = network_of(small(), strategy)
        function(network(x)).square().sum().backward()
        results.append({name: p.grad for name, p in network.named_parameters()})
    assert_same(results[1], results[0])


def test_second_derivatives_are_refused(strategy, coupling, small, network_of):
    network = network_of(small(), strategy)
    y = get_strategy(strategy).run([coupling], torch.randn(3, 4, dtype=torch.float64))
    logits = network(torch.randn(1, 4, 4, 4, 4, dtype=torch.float64))
    for output, module in ((y, coupling), (logits, network)):
        with pytest.raises(RuntimeError, match="no second derivative"):
            torch.autograd.grad(output.square().sum(), list(module.parameters()), create_graph=True)


def test_blocks_without_an_inverse_are_refused(strategy, small):
    with pytest.raises(UsageError, match="no inverse"):
        build(small(coupling="none"), strategy)
    with pytest.raises(UsageError, match="not Residual"):
        get_strategy(strategy).run([Residual(nn.Linear(4, 4))], torch.randn(3, 4))
