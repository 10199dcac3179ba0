"""Operations of a training step, counted without values, against what can be worked out by hand."""

from math import prod

import pytest
import torch
from torch.nn.functional import conv3d

from membench.errors import UsageError
from membench.models import build, get_strategy
from membench.models.cost import OperationCounter, _network_flops, recomputation, step_flops
from membench.models.strategies import chain
from membench.spec import NetworkSpec

SMALL = NetworkSpec(base_channels=16, stages=3, blocks=2, expansion=2, norm_groups=4)


def functions_flops(network: NetworkSpec) -> list[int]:
    """The forward pass of all coupled functions of each resolution, over voxels of the last stage."""
    found = []
    for level, channels in enumerate(network.channels):
        half, voxels = channels // 2, 8 ** (network.stages - 1 - level)
        hidden = half * network.expansion
        weights = 2 * half * hidden + hidden * network.kernel_size**3
        functions = 2 * network.blocks * (1 if level == network.stages - 1 else 2)
        found.append(functions * voxels * 2 * weights)
    return found


def around_flops(network: NetworkSpec) -> int:
    """The forward pass of stem, ways down and up, and head."""
    widths, kernel = network.channels, network.kernel_size
    voxels = [8 ** (network.stages - 1 - level) for level in range(network.stages)]
    stem_and_head = voxels[0] * widths[0] * (network.in_channels * kernel**3 + network.out_channels)
    return 2 * stem_and_head + 2 * way_flops(network)


def way_flops(network: NetworkSpec) -> int:
    """All ways down have 8 taps for each coarse voxel; all ways up have one for each fine voxel, the same number."""
    levels = zip(network.channels, network.channels[1:], range(network.stages - 2, -1, -1), strict=False)
    return sum(2 * 8 * 8**below * fine * coarse for fine, coarse, below in levels)


def test_a_plain_step_is_three_forward_passes_but_for_the_gradient_of_the_input() -> None:
    stem = 2 * 8 ** (SMALL.stages - 1) * SMALL.channels[0] * SMALL.in_channels * SMALL.kernel_size**3
    forward = sum(functions_flops(SMALL)) + around_flops(SMALL)
    assert step_flops(SMALL, "plain") == 3 * forward - stem


@pytest.mark.parametrize("strategy", ["checkpoint", "reversible"])
def test_these_run_every_function_once_more(strategy: str) -> None:
    extra = step_flops(SMALL, strategy) - step_flops(SMALL, "plain")
    assert extra == sum(functions_flops(SMALL))


@pytest.mark.parametrize("level", range(SMALL.stages))
@pytest.mark.parametrize("strategy", ["checkpoint", "reversible"])
def test_a_strategy_for_one_stage_costs_that_stage(strategy: str, level: int) -> None:
    mix = ":".join(strategy if at == level else "plain" for at in range(SMALL.stages))
    assert step_flops(SMALL, mix) - step_flops(SMALL, "plain") == functions_flops(SMALL)[level]


@pytest.mark.parametrize(("room", "products"), [(0.0, 5), (1e9, 1)])
@pytest.mark.parametrize("slices", [2, 4])
def test_slices_run_once_more_and_products_again_where_nothing_is_kept(slices, room, products, monkeypatch) -> None:
    """Beyond one more run of every function and of every way up: a slice is convolved again, and each chunk expanded.

    Without room what is expanded is computed three more times, and the gradient of what is projected once more.
    """
    monkeypatch.setattr(chain, "rooms", lambda channels, x: [room] * len(channels))
    _network_flops.cache_clear()
    extra = step_flops(SMALL, "reversible-sliced", slices=slices) - step_flops(SMALL, "plain")
    _network_flops.cache_clear()
    more = []
    for level, channels in enumerate(SMALL.channels):
        half, voxels = channels // 2, 8 ** (SMALL.stages - 1 - level)
        hidden = half * SMALL.expansion
        functions = 2 * SMALL.blocks * (1 if level == SMALL.stages - 1 else 2)
        more.append(functions * voxels * 2 * (products * half * hidden + hidden * SMALL.kernel_size**3))
    assert extra == sum(functions_flops(SMALL)) + sum(more) + way_flops(SMALL)


def test_slices_run_what_leads_to_the_depthwise_convolution_more_often() -> None:
    assert recomputation(SMALL, "reversible-sliced", slices=4) > recomputation(SMALL, "reversible")


def test_ratio_does_not_depend_on_dropout() -> None:
    dropping = NetworkSpec(**{name: getattr(SMALL, name) for name in SMALL.__struct_fields__} | {"dropout": 0.1})
    assert step_flops(dropping, "reversible") == step_flops(SMALL, "reversible")


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_gradients_of_a_grouped_convolution_take_two_convolutions(device: str) -> None:
    x = torch.zeros(2, 6, 4, 4, 4, device=device, requires_grad=True)
    weight = torch.zeros(9, 2, 3, 3, 3, device=device, requires_grad=True)
    forward = 2 * prod((2, 9, 4, 4, 4)) * 2 * 27
    counter = OperationCounter()
    with counter:
        y = conv3d(x, weight, padding=1, groups=3)
        assert counter.flops == forward
        y.sum().backward()
    assert counter.flops == 3 * forward


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no strategy"):
        recomputation(SMALL, "nonsense")


def test_a_strategy_per_stage_is_counted_as_the_whole_network_would_be() -> None:
    mix = ["reversible-sliced", "checkpoint", "selective"]
    built = build(SMALL, get_strategy(":".join(mix)), device="meta")
    side = 2 * SMALL.grid
    counter = OperationCounter()
    with counter:
        built(torch.zeros(1, SMALL.in_channels, side, side, side, device="meta")).sum().backward()
    assert step_flops(SMALL, ":".join(mix)) * 8 == counter.flops


def test_keeping_activations_on_the_host_computes_nothing_twice() -> None:
    assert recomputation(SMALL, "offload") == 1.0
