"""Strategy `reversible-sliced`: the whole U-Net as one chain of additive couplings, undone in place.

With summed skips the decoder is reversible too. A level of resolution holds one tensor h for all its life:

- a block adds functions of one half of its channels to the other half, in place;
- the way down makes the next level, ``h[s + 1] = down(h[s])``;
- the way up adds to a level, ``h[s] += up(h[s + 1])``.

The backward pass walks this list from its end with h and its gradient d, both changed in place. So a training step
holds, at full resolution, two tensors and what one slice of one function needs: no skip is stored, nothing is kept
twice, nothing is concatenated.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from membench.errors import UsageError
from membench.models.blocks import AdditiveCoupling, Block, split
from membench.models.strategies.replay import Conditions, Coupled, Gradients, Replay
from membench.models.strategies.reversible import Reversible
from membench.spec import NetworkSpec

if TYPE_CHECKING:
    from membench.models.unet import UNet3d


class ReversibleSliced(Reversible):
    """Keep one tensor for each resolution; in the backward pass undo the network step by step, slice by slice.

    ``slices`` is into how many parts the hidden channels of a bottleneck are cut (at most its groups); None cuts just
    so far that one part is no larger than half of the network's full-resolution activation.
    """

    def __init__(self, slices: int | None = None) -> None:
        self.slices = slices

    def check(self, network: NetworkSpec) -> None:
        """Raise `UsageError` unless the blocks are couplings and the skips sums."""
        if network.coupling != "additive":
            raise UsageError("strategy 'reversible-sliced' needs coupling 'additive'; residual blocks have no inverse")
        if network.skip != "sum":
            raise UsageError("strategy 'reversible-sliced' needs skip 'sum'; a concatenated skip has no inverse")

    def run_network(self, network: "UNet3d", x: Tensor) -> Tensor:
        """Compute the logits of x (N, C, D, H, W)."""
        chain = _Chain(network, x, self.slices)
        if not torch.is_grad_enabled():
            return chain.forward(x)[0]
        # Parameters are inputs, so that their gradients arrive through autograd and hooks on them (DDP) see them.
        return _ChainFunction.apply(chain, x, *chain.parameters)  # type: ignore[no-any-return, no-untyped-call]


class _Chain:
    """The network as a list of couplings, with the conditions of one forward pass."""

    def __init__(self, network: "UNet3d", x: Tensor, slices: int | None) -> None:
        self.network = network
        self.parameters = list(network.parameters())
        self.conditions = Conditions(x.device)
        self._widest = network.network.channels[0]
        self.encoder = [self._couple(stage.blocks, level, slices) for level, stage in enumerate(network.encoder)]
        self.decoder = [self._couple(stage.blocks, level, slices) for level, stage in enumerate(network.decoder)]

    def _couple(self, blocks: Sequence[Block], level: int, slices: int | None) -> list[Coupled]:
        functions: list[nn.Module] = []
        for block in blocks:
            assert isinstance(block, AdditiveCoupling)
            functions += (block.f, block.g)
        parts = self._parts(level) if slices is None else slices
        return [Coupled(function, self.conditions, parts) for function in functions]

    def _parts(self, level: int) -> int:
        spec = self.network.network
        hidden = spec.channels[level] // 2 * spec.expansion / 8**level
        return -(-int(2 * hidden) // self._widest) or 1

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The logits, and what each level holds at the end."""
        net = self.network
        with self.conditions.autocast():
            levels = [self._owned(net.stem(x))]
            _add_all(self.encoder[0], levels[0])
            for down, functions in zip(net.down, self.encoder[1:], strict=True):
                levels.append(self._owned(down(levels[-1])))
                _add_all(functions, levels[-1])
            for level in reversed(range(len(self.decoder))):
                levels[level].add_(net.up[level](levels[level + 1]))
                _add_all(self.decoder[level], levels[level])
            return net.head(levels[0]), levels

    @staticmethod
    def _owned(h: Tensor) -> Tensor:
        # Under autocast the functions' norms give float32, and a sum with them is float32 under every strategy.
        return h.float() if h.dtype in (torch.float16, torch.bfloat16) else h

    def backward(
        self, x: Tensor, levels: list[Tensor], d_logits: Tensor, wants_x: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Undo the forward pass in ``levels``, which are changed and let go; the gradients of x and the parameters."""
        net, gradients = self.network, {}  # type: tuple[UNet3d, Gradients]
        with self.conditions.autocast():
            d = [_through(net.head, levels[0], d_logits, gradients)]
            for level, functions in enumerate(self.decoder):
                _undo_all(functions, levels[level], d[level], gradients)
                again = Replay(net.up[level], levels[level + 1])
                levels[level].sub_(again.take_value())
                d.append(_wanted(again.back(d[level], gradients)))
            for level in reversed(range(1, len(levels))):
                h, d_h = levels.pop(), d.pop()
                _undo_all(self.encoder[level], h, d_h, gradients)
                del h
                d[-1].add_(_through(net.down[level - 1], levels[-1], d_h, gradients))
                del d_h
            _undo_all(self.encoder[0], levels.pop(), d[0], gradients)
            d_x = Replay(net.stem, x, wants_x=wants_x).back(d.pop(), gradients)
        return d_x, gradients


def _add_all(functions: list[Coupled], h: Tensor) -> None:
    halves = split(h, 2)
    for step, function in enumerate(functions):
        function.add(halves[step % 2], halves[1 - step % 2])


def _undo_all(functions: list[Coupled], h: Tensor, d: Tensor, gradients: Gradients) -> None:
    halves, d_halves = split(h, 2), split(d, 2)
    for step in reversed(range(len(functions))):
        target, source = step % 2, 1 - step % 2
        functions[step].undo(halves[target], halves[source], d_halves[target], d_halves[source], gradients)


def _through(module: nn.Module, x: Tensor, gradient: Tensor, gradients: Gradients) -> Tensor:
    """Take a gradient back through a module that is not undone."""
    return _wanted(Replay(module, x).back(gradient, gradients))


def _wanted(gradient: Tensor | None) -> Tensor:
    assert gradient is not None
    return gradient


class _ChainFunction(torch.autograd.Function):
    # The gradient comes in a list that can be emptied, so that it is freed as soon as the head is passed.
    boxed_grads_call = True

    @staticmethod
    def forward(ctx: Any, chain: _Chain, x: Tensor, *parameters: Tensor) -> Tensor:
        logits, levels = chain.forward(x)
        ctx.chain = chain
        # The parameters are saved so that autograd refuses to go back if they were changed meanwhile; the
        # reconstruction would silently be wrong.
        ctx.save_for_backward(x, *levels, *parameters)
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("a reversible network has no second derivative; use 'plain' with create_graph=True")
        chain: _Chain = ctx.chain
        x, *rest = ctx.saved_tensors
        levels = rest[: len(chain.encoder)]
        del rest
        ctx.maybe_clear_saved_tensors()
        if _graph_is_kept(ctx):
            levels = [level.clone() for level in levels]
        box = gradients[0] if isinstance(gradients[0], list) else list(gradients)
        d_x, found = chain.backward(x, levels, box.pop(), ctx.needs_input_grad[1])
        return None, d_x, *(found.get(parameter) for parameter in chain.parameters)


def _graph_is_kept(ctx: Any) -> bool:
    """Whether the saved tensors are still there after they were to be let go: they may be wanted again."""
    try:
        _ = ctx.saved_tensors
    except RuntimeError:
        return False
    return True
