"""Strategy `reversible-sliced`: the whole U-Net as one chain of additive couplings, undone in place.

With summed skips the decoder is reversible too. A level of resolution holds one tensor h for all its life:

- a block adds functions of one half of its channels to the other half, in place;
- the way down makes the next level, ``h[s + 1] = down(h[s])``;
- the way up adds to a level, ``h[s] += up(h[s + 1])``.

The backward pass walks this list from its end with h and its gradient d, both changed in place. So a training step
holds, at full resolution, two tensors and what one slice of one function needs: no skip is stored, nothing is kept
twice, nothing is concatenated.
"""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from membench.models.blocks import Block
from membench.models.strategies.couple import Ascent, Descent, Step, add_all, couple, undo_all
from membench.models.strategies.replay import Conditions, Gradients
from membench.models.strategies.reversible import Reversible, boxed, refuse_second_derivative
from membench.models.strategies.room import rooms
from membench.models.strategies.stem import SlicedConvolution

if TYPE_CHECKING:
    from membench.models.unet import Stage, UNet3d


class ReversibleSliced(Reversible):
    """Keep one tensor for each resolution; in the backward pass undo the network step by step, slice by slice.

    ``slices`` is into how many parts the hidden channels of a bottleneck are cut (at most its groups). None has each
    level cut as far as `room.rooms` says: as the volume needs it, and no further than a limit of the allocator asks
    for. A network with concatenated skips, which have no inverse, is run stage by stage.
    """

    def __init__(self, slices: int | None = None) -> None:
        self.slices = slices

    def with_slices(self, slices: int) -> "ReversibleSliced":
        """The same strategy, with so many slices."""
        return ReversibleSliced(slices)

    def run_network(self, network: "UNet3d", x: Tensor) -> Tensor | None:
        """The logits of x (N, C, D, H, W), or None where the network is not a chain."""
        if network.network.skip != "sum":
            return None
        chain = _Chain(network, x, self.slices)
        return _ChainFunction.apply(chain, x, *chain.parameters)  # type: ignore[no-any-return]


class _Chain:
    """The network as a list of steps, under the conditions of one forward pass."""

    def __init__(self, network: "UNet3d", x: Tensor, slices: int | None) -> None:
        # Parameters are inputs, so that their gradients arrive through autograd and hooks on them (DDP) see them.
        self.parameters = list(network.parameters())
        self.conditions = conditions = Conditions(x.device)
        room = rooms(network.network.channels, x)

        def steps(level: int, stage: "Stage") -> list[Step]:
            return couple(cast("list[Block]", list(stage.blocks)), conditions, slices, room[level])

        self.stem = SlicedConvolution(network.stem, conditions)
        self.encoder = [steps(level, cast("Stage", stage)) for level, stage in enumerate(network.encoder)]
        self.down = [Descent(module, conditions) for module in network.down]
        self.up = [Ascent(module, conditions) for module in network.up]
        self.decoder = [steps(level, cast("Stage", stage)) for level, stage in enumerate(network.decoder)]
        self.head = Descent(network.head, conditions)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The logits, and what each level holds at the end."""
        with self.conditions.autocast(on=False):
            levels = [self.conditions.settle(self.stem.make(x))]
            add_all(self.encoder[0], levels[0])
            for down, steps in zip(self.down, self.encoder[1:], strict=True):
                levels.append(self.conditions.settle(down.make(levels[-1])))
                add_all(steps, levels[-1])
            for level in reversed(range(len(self.decoder))):
                self.up[level].add(levels[level], levels[level + 1])
                add_all(self.decoder[level], levels[level])
            return self.head.make(levels[0]), levels

    def backward(
        self, x: Tensor, levels: list[Tensor], box: list[Tensor], *, wants_x: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Undo the forward pass in ``levels``; the gradients of x and of the parameters.

        The levels are changed and let go, and so is the gradient of the logits, which comes in a list to be emptied.
        """
        gradients: Gradients = {}
        with self.conditions.autocast(on=False):
            d = [torch.zeros_like(levels[0])]
            self.head.back(levels[0], d[0], box.pop(), gradients)
            for level, steps in enumerate(self.decoder):
                undo_all(steps, levels[level], d[level], gradients)
                d.append(self.up[level].undo(levels[level], levels[level + 1], d[level], gradients))
            for level in reversed(range(1, len(levels))):
                h, d_h = levels.pop(), d.pop()
                undo_all(self.encoder[level], h, d_h, gradients)
                del h
                self.down[level - 1].back(levels[-1], d[-1], d_h, gradients)
                del d_h
            undo_all(self.encoder[0], levels.pop(), d[0], gradients)
            return self.stem.back(x, d.pop(), gradients, wants_x=wants_x), gradients


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
        refuse_second_derivative()
        chain: _Chain = ctx.chain
        x, *levels = ctx.saved_tensors[: 1 + len(chain.encoder)]
        ctx.maybe_clear_saved_tensors()
        if _graph_is_kept(ctx):
            levels = [level.clone() for level in levels]
        d_x, found = chain.backward(x, levels, boxed(gradients), wants_x=ctx.needs_input_grad[1])
        return None, d_x, *(found.get(parameter) for parameter in chain.parameters)


def _graph_is_kept(ctx: Any) -> bool:
    """Whether the saved tensors are still there after they were to be let go: they may be wanted again."""
    try:
        _ = ctx.saved_tensors
    except RuntimeError:
        return False
    return True
