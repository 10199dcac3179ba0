"""Strategy `reversible`: keep only the output of a stage, reconstruct the rest (Gomez et al., RevNet, 2017).

An additive coupling is two steps of one kind, ``target += function(source)``, with the halves changing roles. Each
is undone by ``target -= function(source)``, since the source is untouched. So a stage is a list of functions that
alternate between the halves, and the backward pass walks it from its end: run a function again with its graph,
subtract, differentiate, forget the graph.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.func import functional_call

from membench.errors import UsageError
from membench.models.blocks import AdditiveCoupling, Block, join, split
from membench.models.strategies.randomness import RandomState, is_random
from membench.spec import NetworkSpec


class Reversible:
    """Keep what leaves the stage; in the backward pass run each function again, once.

    Works under autocast, with dropout, with frozen parameters, with several backward passes over one graph, and with
    a module used several times in a graph. Not for functions that change buffers as they run (batch norm), which
    would change them twice, nor for second derivatives.
    """

    def check(self, network: NetworkSpec) -> None:
        """Raise `UsageError` unless the blocks are couplings."""
        if network.coupling != "additive":
            raise UsageError("strategy 'reversible' needs coupling 'additive'; residual blocks have no inverse")

    def run(self, blocks: Sequence[Block], x: Tensor) -> Tensor:
        functions: list[nn.Module] = []
        for block in blocks:
            if not isinstance(block, AdditiveCoupling):
                raise UsageError(f"strategy 'reversible' needs additive couplings, not {type(block).__name__}")
            functions += (block.f, block.g)
        run = _Run(functions, x.device)
        # Parameters are inputs, so that their gradients arrive through autograd and hooks on them (DDP) see them.
        return _Reversible.apply(run, x, *run.parameters)  # type: ignore[no-any-return]


class _Run:
    """What a backward pass has to know of its forward pass, besides tensors."""

    def __init__(self, functions: list[nn.Module], device: torch.device) -> None:
        self.functions = functions
        self.parameters = list(nn.ModuleList(functions).parameters())
        self._device = device
        self._random = [is_random(function) for function in functions]
        self._states: dict[int, RandomState] = {}
        kinds = {device.type, "cpu"}
        self._autocast = {
            kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
            for kind in kinds
            if torch.amp.is_autocast_available(kind)
        }

    def remember_random(self, step: int) -> None:
        if self._random[step]:
            self._states[step] = RandomState(self._device)

    def random_again(self, step: int) -> AbstractContextManager[None]:
        return self._states[step].again() if self._random[step] else nullcontext()

    def autocast(self) -> ExitStack:
        """Autocast as it was, without its cache, which would hold the cast weights of all the stage's functions."""
        stack = ExitStack()
        for kind, (enabled, dtype) in self._autocast.items():
            stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False))
        return stack


class _Reversible(torch.autograd.Function):
    # The gradient comes in a list that can be emptied, so that it is freed before the functions are run again.
    boxed_grads_call = True

    @staticmethod
    def forward(ctx: Any, run: _Run, x: Tensor, *parameters: Tensor) -> Tensor:
        halves = list(split(x, 2))
        with run.autocast():
            for step, function in enumerate(run.functions):
                target, source = step % 2, 1 - step % 2
                run.remember_random(step)
                halves[target] = halves[target] + function(halves[source])
        y = join(halves)
        ctx.run = run
        # The whole output and not its halves: the next layer keeps the same tensor. The parameters are saved so that
        # autograd refuses to go back if they were changed meanwhile; the reconstruction would silently be wrong.
        ctx.save_for_backward(y, *parameters)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("strategy 'reversible' has no second derivative; use 'plain' with create_graph=True")
        run: _Run = ctx.run
        y = ctx.saved_tensors[0]
        ctx.maybe_clear_saved_tensors()  # lets go of y, unless the graph is retained
        # Copies, and separate ones: both halves are changed in place, and one while a graph holds the other.
        halves = [half.clone() for half in split(y, 2)]
        del y
        box = gradients[0] if isinstance(gradients[0], list) else list(gradients)
        d_halves = [half.clone() for half in split(box.pop(), 2)]
        d_parameters: dict[Tensor, Tensor] = {}
        with run.autocast():
            for step in reversed(range(len(run.functions))):
                _undo(run, step, halves, d_halves, d_parameters)
        del halves
        d_x = join(d_halves) if ctx.needs_input_grad[1] else None
        return None, d_x, *(d_parameters.get(parameter) for parameter in run.parameters)


def _undo(
    run: _Run, step: int, halves: list[Tensor], d_halves: list[Tensor], d_parameters: dict[Tensor, Tensor]
) -> None:
    """Undo ``target += function(source)`` in ``halves``, and take the gradients back through it, all in place."""
    function, target, source = run.functions[step], step % 2, 1 - step % 2
    parameters = dict(function.named_parameters())
    trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
    x = halves[source].detach().requires_grad_()
    # Stand-ins for the parameters: hooks on the parameters themselves must run once, when autograd gets our results.
    stand_ins = {name: p.detach().requires_grad_(p.requires_grad) for name, p in parameters.items()}
    with torch.enable_grad(), run.random_again(step):
        y = functional_call(function, stand_ins, (x,))
    halves[target].sub_(y)
    # The graph needs no values of its output, so that they are freed before it is differentiated.
    edge = get_gradient_edge(y)
    del y
    d_x, *d_trained = torch.autograd.grad(
        [edge], [x, *(stand_ins[name] for name in trained)], [d_halves[target]], allow_unused=True
    )
    if d_x is not None:
        d_halves[source].add_(d_x)
    for name, gradient in zip(trained, d_trained, strict=True):
        if gradient is not None:
            known = d_parameters.get(parameters[name])
            d_parameters[parameters[name]] = gradient if known is None else known + gradient
