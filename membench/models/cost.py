"""What a memory strategy costs in computation: the floating-point operations of a training step.

Counted, not timed: the step runs on tensors without values (PyTorch's meta device) and every product and convolution
is met on its way to the device, in autograd functions of our own and of the user's too. Norms, activations and other
passes over memory are not operations here, as in `torch.utils.flop_counter`, whose formulas are used.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry, shape_wrapper

from membench.models.build import build
from membench.models.loss import segmentation_loss
from membench.models.strategies import InSlices, get_strategy
from membench.models.strategies.staged import Staged
from membench.models.unet import Stage
from membench.spec import NetworkSpec

aten = torch.ops.aten


def recomputation(network: NetworkSpec, strategy: str, *, slices: int | None = None) -> float:
    """The operations of a training step under the strategy over those under ``plain``, which computes nothing twice.

    ``strategy`` and ``slices`` are as in `ProbeSpec`.

    Raises:
        UsageError: the network cannot be built, the strategy is unknown, or the network cannot run under it.
    """
    return step_flops(network, strategy, slices=slices) / step_flops(network, "plain")


def step_flops(network: NetworkSpec, strategy: str, *, slices: int | None = None) -> int:
    """Floating-point operations of one forward and backward pass of a batch of 1, for each voxel of the last stage.

    The count is proportional to the voxels, so it is taken at the smallest volume that every network accepts: two
    voxels in each direction in the last stage. Deterministic; a second or two for the networks of the presets. Of a
    strategy for each stage, what the stages take more than under ``plain`` is counted stage by stage.

    Raises:
        UsageError: as `recomputation`.
    """
    chosen = get_strategy(strategy, slices=slices)
    chosen.check(network)
    if not isinstance(chosen, Staged):
        return _network_flops(network, strategy, slices)
    total = _network_flops(network, "plain", None)
    for level, name in enumerate(strategy.split(":")):
        own = slices if isinstance(get_strategy(name), InSlices) else None
        more = _stage_flops(network, name, own, level) - _stage_flops(network, "plain", None, level)
        total += more * (1 if level == network.stages - 1 else 2)  # the last stage has no decoder
    return total


@lru_cache(maxsize=1024)
def _network_flops(network: NetworkSpec, strategy: str, slices: int | None) -> int:
    side = 2 * network.grid
    built = build(network, get_strategy(strategy, slices=slices), device="meta")
    images = torch.zeros(1, network.in_channels, side, side, side, device="meta")
    target = torch.zeros(1, network.out_channels, side, side, side, device="meta", dtype=torch.uint8)
    return count_operations(lambda: segmentation_loss(built(images), target).backward()) // 8  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1024)
def _stage_flops(network: NetworkSpec, strategy: str, slices: int | None, level: int) -> int:
    channels, side = network.channels[level], 2 ** (network.stages - level)
    with torch.device("meta"):
        stage = Stage(network, channels)
        x = torch.zeros(1, channels, side, side, side, requires_grad=True)
    stage.strategy = get_strategy(strategy, slices=slices)
    return count_operations(lambda: stage(x).sum().backward()) // 8


def count_operations(step: Callable[[], object]) -> int:
    """The floating-point operations of the products and convolutions in ``step``, in its backward passes too."""
    counter = OperationCounter()
    with counter:
        step()
    return counter.flops


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that adds up, in ``flops``, the floating-point operations of what runs in it, backward passes too.

    `torch.utils.flop_counter.FlopCounterMode` does the same, but it refuses backward passes that differentiate a part
    of a graph by `torch.autograd.grad`, and takes the weight's gradient of a grouped convolution for a full one.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        shapes_only = _SHAPES.get(packet) if args and _is_meta(args[0]) else None
        out = func(*args, **kwargs) if shapes_only is None else shapes_only(*args, **kwargs)
        formula = _FORMULAS.get(packet)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


def _convolution_backward(d_out: list[int], x: list[int], weight: list[int], *rest: Any, out_shape: Any) -> int:
    """Each gradient that is asked for takes as many operations as the convolution; the weight knows the groups."""
    transposed, wanted = rest[4], rest[7]
    flops: int = (wanted[0] + wanted[1]) * conv_flop_count(x, weight, d_out, transposed)
    return flops


def _group_norm(x: torch.Tensor, weight: Any, bias: Any, batch: int, c: int, v: int, groups: int, eps: float) -> Any:
    return torch.empty_like(x), x.new_empty(batch, groups), x.new_empty(batch, groups)


def _group_norm_backward(d_y: torch.Tensor, x: torch.Tensor, *rest: Any) -> Any:
    weight, wanted = rest[2], rest[7]
    values = (torch.empty_like(x), weight, weight)
    return tuple(torch.empty_like(value) if want else None for value, want in zip(values, wanted, strict=True))


def _to_copy(x: torch.Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return torch.empty_like(x, dtype=dtype or x.dtype)


def _is_meta(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_meta


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten.convolution_backward: shape_wrapper(_convolution_backward),  # type: ignore[no-untyped-call]
    aten.baddbmm_: flop_registry[aten.baddbmm],
}
# Norms because PyTorch works out their shapes in slow Python, copies because a strategy may want them on the host.
_SHAPES: dict[Any, Callable[..., Any]] = {
    aten._to_copy: _to_copy,
    aten.native_group_norm: _group_norm,
    aten.native_group_norm_backward: _group_norm_backward,
}
