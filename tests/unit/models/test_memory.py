"""What each strategy holds: bytes kept for the backward pass, and the peak of a whole step.

The tensors are on PyTorch's meta device, which has sizes and no values; a step that read a value back would fail.
"""

import weakref
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from membench.models import Strategy, build, get_strategy, parameter_count, segmentation_loss, strategies
from membench.models.blocks import make_block
from membench.models.strategies.chain import ReversibleSliced

VOXELS = (32, 32, 32)


def _saved_bytes(strategy: str, spec, blocks: int) -> int:
    """Bytes that one stage keeps between forward and backward, each storage once, parameters left out."""
    with torch.device("meta"):
        built = torch.nn.ModuleList(make_block(spec, spec.base_channels) for _ in range(blocks))
        x = torch.empty(1, spec.base_channels, *VOXELS, requires_grad=True)
    known = {p.untyped_storage()._cdata for p in built.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = get_strategy(strategy).run(list(built), x)
    assert y.requires_grad
    return sum(storage.nbytes() for key, storage in storages.items() if key not in known)


def _network_bytes(strategy: str | Strategy, spec) -> int:
    """Bytes that a whole network keeps between forward and backward, its input and logits included."""
    network = build(spec, strategy, device="meta")
    x = torch.empty(1, spec.in_channels, *VOXELS, device="meta")
    with Live(network, x) as live:
        logits = network(x)
        assert logits.requires_grad
        return live.bytes


class Live(TorchDispatchMode):
    """Adds up the storages that are alive after each operation; parameters are left out, ``known`` tensors are in."""

    def __init__(self, network: torch.nn.Module, *known: torch.Tensor) -> None:
        super().__init__()
        self._sizes = {p.untyped_storage()._cdata: 0 for p in network.parameters()}
        for tensor in known:
            self._add(tensor)
        self.peak = 0

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._sizes:
            self._sizes[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self._sizes.pop, storage._cdata)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf)
        self.peak = max(self.peak, self.bytes)
        return result


def _peak_bytes(strategy: str | Strategy, spec) -> int:
    """Peak bytes of activations and gradients over forward, loss and backward."""
    network = build(spec, strategy, device="meta")
    with torch.device("meta"):
        x = torch.empty(1, spec.in_channels, *VOXELS)
        target = torch.empty(1, spec.out_channels, *VOXELS, dtype=torch.uint8)
    with Live(network) as live:
        segmentation_loss(network(x), target).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in network.parameters())
    return live.peak


@pytest.mark.parametrize("block", ["mbconv", "conv"])
def test_what_a_stage_keeps(block, small):
    spec = small(block=block)
    tensor = spec.base_channels * 32**3 * 4
    kept = {name: [_saved_bytes(name, spec, n) for n in (2, 8)] for name in ("plain", "checkpoint", "reversible")}
    assert kept["reversible"] == [tensor, tensor], "the output alone, however many blocks"
    assert kept["checkpoint"] == [2 * tensor, 8 * tensor], "the input of each block"
    assert kept["plain"][1] > 2 * kept["checkpoint"][1]
    assert kept["plain"][1] > 3 * kept["plain"][0]


def test_plain_keeps_only_what_autograd_must(small):
    spec = small(expansion=6)
    half = spec.base_channels // 2 * 32**3 * 4
    # Of each function: its input, what the three norms and the two in-place activations leave, once each.
    each = half * (1 + 6 + 6 + 6 + 6 + 1)
    statistics = 3 * 2 * spec.norm_groups * 4  # mean and deviation of each group
    more = _saved_bytes("plain", spec, 3) - _saved_bytes("plain", spec, 2)
    assert more == 2 * (each + statistics)


@pytest.mark.parametrize("block", ["mbconv", "conv"])
def test_peaks_are_ordered(block, small):
    names = ("plain", "selective", "checkpoint", "reversible", "reversible-sliced")
    peaks = [_peak_bytes(name, small(block=block, blocks=4)) for name in names]
    assert all(more > less for more, less in pairwise(peaks))


@pytest.mark.parametrize("strategy", ["reversible", "reversible-sliced"])
@pytest.mark.parametrize("block", ["mbconv", "conv"])
def test_the_peak_does_not_grow_with_blocks(block, strategy, small):
    specs = [small(block=block, stages=1, blocks=blocks) for blocks in (2, 12)]
    few, many = (_peak_bytes(strategy, spec) for spec in specs)
    gradients = 4 * (parameter_count(specs[1]) - parameter_count(specs[0]))
    assert few <= many <= few + gradients < few + specs[0].base_channels * 32**3 * 4 // 8


def test_backward_frees_the_output_and_its_gradient(small):
    """While a function is differentiated, the stage holds its halves and their gradients, nothing else of its own."""
    spec = small(stages=1, block="conv", blocks=3)
    half = spec.base_channels // 2 * 32**3 * 4
    # Halves and gradients; what one function keeps of its own (convolved, activated, convolved); the gradient of its
    # last convolution's output, where that of the function's output is a half already counted.
    held = 4 * half + 3 * half + half + spec.out_channels * 32**3  # the target, of which the loss makes views
    small_change = 4 * parameter_count(spec) + 1024
    assert _peak_bytes("reversible", spec) <= held + small_change


@pytest.mark.parametrize("blocks", [1, 6])
def test_a_sliced_network_keeps_one_tensor_for_each_resolution(blocks, small):
    spec = small(stages=3, blocks=blocks)
    levels = sum(width * 32**3 // 8**level for level, width in enumerate(spec.channels))
    assert _network_bytes("reversible-sliced", spec) == 4 * (levels + (spec.in_channels + spec.out_channels) * 32**3)


def test_evaluation_keeps_nothing(small):
    spec = small(stages=3)
    for strategy in strategies():
        with torch.no_grad():
            network = build(spec, strategy, device="meta")
            x = torch.empty(1, spec.in_channels, *VOXELS, device="meta")
            with Live(network, x) as live:
                logits = network(x)
                assert live.bytes == 4 * (x.numel() + logits.numel())


def test_more_slices_take_less(small):
    spec = small(stages=1, base_channels=32, norm_groups=8, expansion=6)
    peaks = [_peak_bytes(ReversibleSliced(slices), spec) for slices in (1, 2, 4, 8)]
    assert sorted(peaks, reverse=True) == peaks
    assert len(set(peaks)) == 4
    # Cut further than by half, a part of the widest tensors is a part of the hidden channels.
    hidden = 16 * 6 * 32**3 * 4
    assert peaks[0] - peaks[1] > hidden
    assert _peak_bytes(ReversibleSliced(99), spec) == peaks[3], "no more slices than groups"
