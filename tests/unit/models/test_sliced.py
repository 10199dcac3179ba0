"""Strategy `reversible-sliced`: into how many slices the functions are cut changes memory, never the result."""

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from membench.models import build
from membench.models.functions import MBConv
from membench.models.strategies import chain
from membench.models.strategies import slicing as slicing_module
from membench.models.strategies.chain import ReversibleSliced
from membench.models.strategies.sliced import SlicedBottleneck, can_slice
from membench.models.strategies.slicing import Slicing, slicing
from membench.spec import NetworkSpec

SLICES = [None, 1, 2, 3, 8]


@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"norm_groups": 8, "base_channels": 16},
        {"norm_groups": 3, "base_channels": 12, "kernel_size": 5},
        {"norm": "instance", "upsampling": "trilinear"},
        {"norm_groups": 4, "skip": "concat", "stages": 3},
        {"norm_groups": 4, "dropout": 0.3},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_gradients_do_not_depend_on_the_slices(slices, batch, options, small, network_of, step, assert_same):
    spec = small(**options)
    results = []
    for strategy in ("plain", ReversibleSliced(slices)):
        network = network_of(spec, strategy)
        torch.manual_seed(5)
        results.append(step(network, (4, 8, 12), batch))
    assert_same(results[1], results[0])


NETWORKS = st.builds(
    lambda groups, multiple, **options: NetworkSpec(norm_groups=groups, base_channels=2 * groups * multiple, **options),
    groups=st.integers(1, 4),
    multiple=st.integers(1, 2),
    stages=st.integers(1, 3),
    blocks=st.integers(1, 2),
    channel_multiplier=st.sampled_from((1.0, 2.0)),
    block=st.sampled_from(("mbconv", "mbconv", "conv")),
    expansion=st.integers(1, 3),
    kernel_size=st.sampled_from((1, 3)),
    norm=st.sampled_from(("group", "group", "instance", "none")),
    squeeze_excitation=st.booleans(),
    skip=st.sampled_from(("sum", "concat")),
    upsampling=st.sampled_from(("transposed", "trilinear")),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    spec=NETWORKS,
    cells=st.tuples(*[st.integers(1, 3)] * 3).filter(lambda cells: cells != (1, 1, 1)),
    batch=st.integers(1, 2),
    slices=st.none() | st.integers(1, 9),
    room=st.sampled_from((None, 0.0, 40.0, 1e9)),
    least=st.sampled_from((0, slicing_module.LEAST_BYTES)),
)
def test_a_network_has_the_same_gradients(spec, cells, batch, slices, room, least):
    """Whatever the slices and chunks, and whether what is needed twice is kept or computed again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slicing_module, "LEAST_BYTES", least)
        if room is not None:
            patch.setattr(chain, "rooms", lambda channels, x: [room] * len(channels))
        _same_gradients(spec, cells, batch, slices)


def _same_gradients(spec, cells, batch, slices):
    torch.manual_seed(0)
    networks = [build(spec, strategy).double() for strategy in ("plain", ReversibleSliced(slices))]
    networks[1].load_state_dict(networks[0].state_dict())
    x = torch.randn(batch, 4, *(side * spec.grid for side in cells), dtype=torch.float64)
    results = []
    for network in networks:
        leaf = x.clone().requires_grad_()
        logits = network(leaf)
        results.append((logits, *torch.autograd.grad(logits.sin().sum(), [leaf, *network.parameters()])))
        assert torch.equal(leaf, x), "a strategy leaves its input as it is"
    for actual, expected in zip(results[1], results[0], strict=True):
        # Where the true gradient is zero or nearly, what counts is the rounding of the sums that it cancels out of.
        scale = max(1.0, expected.abs().max().item())
        assert (actual - expected).abs().max().item() <= 1e-9 * scale


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    groups=st.integers(1, 6),
    in_group=st.integers(1, 3),
    sides=st.tuples(*[st.integers(2, 5)] * 3),
    batch=st.integers(1, 2),
    slices=st.integers(1, 9),
    in_chunk=st.integers(1, 9),
    keeps=st.booleans(),
)
def test_a_bottleneck_is_the_module_it_slices(groups, in_group, sides, batch, slices, in_chunk, keeps):
    torch.manual_seed(groups)
    spec = NetworkSpec(norm_groups=groups, expansion=2)
    module = MBConv(spec, groups * in_group).double()
    for parameter in module.parameters():  # scales and shifts other than 1 and 0
        nn.init.normal_(parameter)
    x = torch.randn(batch, groups * in_group, *sides, dtype=torch.float64, requires_grad=True)
    hidden = module.activation(module.expand_norm(module.expand(x)))
    expected = module.project(module.activation(module.depthwise_norm(module.depthwise(hidden))))
    gradient = torch.randn_like(expected)

    with torch.no_grad():
        sliced = SlicedBottleneck(module, slices, torch.float64, in_chunk=in_chunk, keeps=keeps)
        torch.testing.assert_close(sliced.forward(x), expected, rtol=1e-11, atol=1e-11)
        d_x = torch.ones_like(x)
        gradients = sliced.backward(x, gradient, d_x)
    assert len(sliced.parts) == min(slices, groups)
    wanted = torch.autograd.grad(expected, [x, *gradients], gradient)
    for actual, value in zip((d_x - 1, *gradients.values()), wanted, strict=True):
        torch.testing.assert_close(actual, value, rtol=1e-9, atol=1e-9 * max(1.0, value.abs().max().item()))


@pytest.mark.parametrize(
    ("options", "possible"),
    [({}, True), ({"norm": "instance"}, True), ({"norm": "none"}, False), ({"squeeze_excitation": True}, False)],
)
def test_what_can_be_sliced(options, possible, small):
    function = MBConv(small(norm_groups=4, **options), 16)
    assert can_slice(function) is possible
    groups = 4 if not options else 32
    assert slicing(function, room=1e9) == Slicing(1)
    assert slicing(function, room=0.1) == Slicing(groups if possible else 1)
    assert not can_slice(nn.Linear(2, 2))


def test_a_function_is_cut_no_further_than_the_room_asks_for(small):
    """Whole, in slices that keep what is needed twice, and in slices that do not: in this order."""
    function = MBConv(small(norm_groups=8, expansion=6), 16)
    ways = [slicing(function, room) for room in range(700, 0, -1)]
    assert [way for way, _ in groupby(ways)] == [
        Slicing(1), *(Slicing(slices, keeps=True) for slices in (2, 3, 4, 8)), *map(Slicing, (4, 8))
    ]  # fmt: skip
    assert slicing(function, room=200, slices=4).keeps
    assert not slicing(function, room=20, slices=4).keeps
