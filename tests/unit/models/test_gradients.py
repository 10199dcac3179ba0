"""Every strategy computes the same function and the same gradients."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from membench.models import build, get_strategy, strategies
from membench.models.blocks import AdditiveCoupling, make_block
from membench.spec import NetworkSpec

OTHER_STRATEGIES = [name for name in strategies() if name != "plain"]
CHOICES = [
    {"block": block, "skip": skip, "upsampling": upsampling, "squeeze_excitation": excite}
    for block, skip, upsampling, excite in product(
        ("mbconv", "conv"), ("sum", "concat"), ("transposed", "trilinear"), (False, True)
    )
    if not (block == "conv" and excite)
]
OTHERS = [
    {"norm": "instance"},
    {"norm": "none"},
    {"kernel_size": 1},
    {"kernel_size": 5},
    {"stages": 1},
    {"stages": 3, "blocks": 1},
    {"channel_multiplier": 1.5, "max_channels": 12},
    {"blocks": 4},
]


@pytest.mark.parametrize("options", CHOICES + OTHERS, ids=lambda options: "-".join(map(str, options.values())))
def test_gradients_do_not_depend_on_the_strategy(options, small, network_of, step, assert_same):
    spec = small(**options)
    if options.get("norm") != "none":
        # A bias in front of a normalisation would have a gradient of zero; ours leave it out.
        assert not any(".expand.bias" in name for name, _ in network_of(spec).named_parameters())
    expected = step(network_of(spec), (4, 4, 8))
    for strategy in OTHER_STRATEGIES:
        assert_same(step(network_of(spec, strategy), (4, 4, 8)), expected)


@pytest.mark.parametrize("block", ["mbconv", "conv"])
def test_uncoupled_blocks_can_be_checkpointed(block, small, network_of, step, assert_same):
    spec = small(block=block, coupling="none")
    assert_same(step(network_of(spec, "checkpoint")), step(network_of(spec)))


def test_batches_are_not_contiguous_in_their_halves(small, network_of, step, assert_same):
    expected = step(network_of(small()), batch=3)
    for strategy in OTHER_STRATEGIES:
        assert_same(step(network_of(small(), strategy), batch=3), expected)


def test_channels_last(small, network_of, step, assert_same):
    expected = step(network_of(small()))
    for strategy in strategies():
        network = network_of(small(), strategy).to(memory_format=torch.channels_last_3d)
        assert_same(step(network), expected)


SHAPES = st.tuples(*[st.integers(2, 4)] * 3)
SPECS = st.builds(
    lambda groups, multiple, **options: NetworkSpec(norm_groups=groups, base_channels=2 * groups * multiple, **options),
    groups=st.integers(1, 3),
    multiple=st.integers(1, 2),
    block=st.sampled_from(("mbconv", "conv")),
    expansion=st.integers(1, 3),
    norm=st.sampled_from(("group", "instance", "none")),
    squeeze_excitation=st.booleans(),
)


def _blocks(spec: NetworkSpec, count: int) -> nn.ModuleList:
    torch.manual_seed(count)
    return nn.ModuleList(make_block(spec, spec.base_channels) for _ in range(count)).double()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(spec=SPECS, sides=SHAPES, batch=st.integers(1, 2))
def test_the_inverse_reconstructs_the_input(spec, sides, batch):
    (coupling,) = _blocks(spec, 1)
    assert isinstance(coupling, AdditiveCoupling)
    x1, x2 = torch.randn(2, batch, spec.base_channels // 2, *sides, dtype=torch.float64)
    with torch.no_grad():
        y1, y2 = coupling(x1, x2)
        back1, back2 = coupling.inverse(y1, y2)
    assert not torch.equal(y1, x1)
    torch.testing.assert_close(back1, x1, rtol=0, atol=1e-12)
    torch.testing.assert_close(back2, x2, rtol=0, atol=1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(spec=SPECS, sides=SHAPES, batch=st.integers(1, 2), count=st.integers(1, 4))
def test_a_stage_has_the_same_gradients(spec, sides, batch, count):
    blocks = _blocks(spec, count)
    x = torch.randn(batch, spec.base_channels, *sides, dtype=torch.float64)
    weight = torch.randn_like(x)
    results = []
    for name in ("plain", *OTHER_STRATEGIES):
        leaf = x.clone().requires_grad_()
        y = get_strategy(name).run(list(blocks), leaf)
        results.append((y, *torch.autograd.grad((y * weight).sum(), [leaf, *blocks.parameters()])))
        assert torch.equal(leaf, x), "a strategy leaves its input as it is"
    for result in results[1:]:
        for actual, expected in zip(result, results[0], strict=True):
            scale = max(1.0, expected.abs().max().item())
            assert (actual - expected).abs().max().item() <= 1e-9 * scale


@settings(max_examples=15, deadline=None, derandomize=True)
@given(mix=st.lists(st.sampled_from(strategies()), min_size=1, max_size=3), blocks=st.integers(1, 2), data=st.data())
def test_a_mix_has_the_same_gradients(mix, blocks, data):
    """One strategy for each stage, whichever they are."""
    spec = NetworkSpec(base_channels=8, stages=len(mix), blocks=blocks, norm_groups=2, expansion=2)
    volume = [spec.grid * data.draw(st.integers(2, 3)) for _ in range(3)]
    torch.manual_seed(blocks)
    networks = [build(spec, name).double() for name in ("plain", ":".join(mix))]
    networks[1].load_state_dict(networks[0].state_dict())
    x = torch.randn(1, 4, *volume, dtype=torch.float64)
    results = []
    for network in networks:
        leaf = x.clone().requires_grad_()
        results.append(torch.autograd.grad(network(leaf).sin().sum(), [leaf, *network.parameters()]))
    for actual, expected in zip(results[1], results[0], strict=True):
        assert (actual - expected).abs().max() <= 1e-9 * max(1.0, expected.abs().max())
