"""Small networks, one training step, and ways to compare and to count."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from membench.models import UNet3d, build, segmentation_loss
from membench.models.blocks import AdditiveCoupling
from membench.spec import NetworkSpec

Gradients = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads cost more than they give on tensors this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small() -> Callable[..., NetworkSpec]:
    """Make a small network record; options as of `NetworkSpec`."""

    def make(**options: object) -> NetworkSpec:
        defaults: dict[str, object] = {"base_channels": 8, "stages": 2, "norm_groups": 2, "expansion": 2}
        return NetworkSpec(**(defaults | options))

    return make


@pytest.fixture
def network_of() -> Callable[..., UNet3d]:
    """Build a network from a seed; float64 unless told otherwise."""

    def make(spec: NetworkSpec, strategy: str = "plain", dtype: torch.dtype = torch.float64) -> UNet3d:
        torch.manual_seed(0)
        return build(spec, strategy).to(dtype)

    return make


@pytest.fixture
def step() -> Callable[..., Gradients]:
    """Run forward, loss and backward on a fixed volume; give the gradients by name, with ``input`` and ``loss``."""

    def run(network: nn.Module, volume: tuple[int, ...] = (4, 4, 6), batch: int = 1) -> Gradients:
        dtype = next(network.parameters()).dtype
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(batch, 4, *volume, dtype=dtype, generator=generator).requires_grad_()
        target = torch.randint(2, (batch, 3, *volume), dtype=torch.uint8, generator=generator)
        loss = segmentation_loss(network(x), target)
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        assert x.grad is not None
        return gradients | {"input": x.grad, "loss": loss.detach()}

    return run


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Compare gradients by name, each relative to its own largest value."""

    def check(actual: Gradients, expected: Gradients, tolerance: float = 1e-9) -> None:
        assert actual.keys() == expected.keys()
        for name, gradient in expected.items():
            scale = gradient.abs().max().item()
            assert scale > 0, f"{name} tells nothing: it is zero"
            error = (actual[name] - gradient).abs().max().item()
            assert error <= tolerance * scale, f"{name} is off by {error:.1e} of {scale:.1e}"

    return check


@pytest.fixture
def coupling() -> AdditiveCoupling:
    """A coupling of small functions on (N, 4)."""
    torch.manual_seed(0)
    return AdditiveCoupling(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Tanh())).double()
