"""Strategy `reversible`: keep only the output of a stage, reconstruct the rest (Gomez et al., RevNet, 2017).

An additive coupling is two steps of one kind, ``target += function(source)``, with the halves of the channels changing
roles. The backward pass walks the steps of a stage from the last: run the function again with its graph, subtract,
differentiate, forget the graph.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from membench.errors import UsageError
from membench.models.blocks import Block
from membench.models.strategies.couple import Step, add_all, couple, undo_all
from membench.models.strategies.replay import Conditions, Gradients
from membench.spec import NetworkSpec


class Reversible:
    """Keep what leaves the stage; in the backward pass run each function again, once.

    Works under autocast, with dropout, with frozen parameters, with several backward passes over one graph, and with
    a module used several times in a graph. Not for functions that change buffers as they run (batch norm), which
    would change them twice, nor for second derivatives.
    """

    slices: int | None = 1

    def check(self, network: NetworkSpec) -> None:
        """Raise `UsageError` unless the blocks are couplings."""
        if network.coupling != "additive":
            raise UsageError("a reversible strategy needs coupling 'additive'; residual blocks have no inverse")

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        conditions = Conditions(x.device)
        # Room to keep what is needed twice: beside what the rest of a network holds it is little.
        steps = couple(blocks, conditions, self.slices, room=2 * x.shape[1])
        # Parameters are inputs, so that their gradients arrive through autograd and hooks on them (DDP) see them.
        parameters = list(nn.ModuleList(blocks).parameters())
        return _Stage.apply(conditions, steps, x, *parameters)  # type: ignore[no-any-return]


class _Stage(torch.autograd.Function):
    # The gradient comes in a list that can be emptied, so that it is freed before the functions are run again.
    boxed_grads_call = True

    @staticmethod
    def forward(ctx: Any, conditions: Conditions, steps: list[Step], x: Tensor, *parameters: Tensor) -> Tensor:
        y = conditions.settle(x.clone(memory_format=torch.contiguous_format))
        add_all(steps, y)
        ctx.steps = steps
        # The parameters are saved so that autograd refuses to go back if they were changed meanwhile; the
        # reconstruction would silently be wrong.
        ctx.save_for_backward(y, *parameters)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        y, *parameters = ctx.saved_tensors
        ctx.maybe_clear_saved_tensors()  # lets go of y, unless the graph is retained
        # A copy, since the next layer may keep y too, and the gradient may be another's.
        h = y.clone()
        del y
        d = boxed(gradients).pop().clone(memory_format=torch.contiguous_format)
        found: Gradients = {}
        undo_all(ctx.steps, h, d, found)
        return None, None, d if ctx.needs_input_grad[2] else None, *(found.get(parameter) for parameter in parameters)


def boxed(gradients: Sequence[Any]) -> list[Tensor]:
    """The gradients of a function's outputs in a list that can be emptied."""
    return gradients[0] if isinstance(gradients[0], list) else list(gradients)


def refuse_second_derivative() -> None:
    """Raise `RuntimeError` in a backward pass that is itself to be differentiated."""
    if torch.is_grad_enabled():
        raise RuntimeError("a reversible strategy has no second derivative; use 'plain' with create_graph=True")
