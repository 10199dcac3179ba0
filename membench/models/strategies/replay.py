"""Running modules again in a backward pass, under the conditions of the forward pass, and taking gradients through."""

from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.func import functional_call

from membench.models.strategies.grid import add_rounded, round_to_grid
from membench.models.strategies.randomness import RandomState, is_random

Gradients = dict[Tensor, Tensor]


class Conditions:
    """What decides, besides tensors, what modules compute: the device, and autocast as it is now."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._autocast = {
            kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
            for kind in {device.type, "cpu"}
            if torch.amp.is_autocast_available(kind)
        }

    def autocast(self, *, on: bool = True) -> ExitStack:
        """Autocast as it was, without its cache, which would hold the cast weights of many functions.

        With ``on`` false, no autocast: for code that chooses its dtypes itself.
        """
        stack = ExitStack()
        for kind, (enabled, dtype) in self._autocast.items():
            stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled and on, cache_enabled=False))
        return stack

    def settle(self, x: Tensor) -> Tensor:
        """Make x, in place, a tensor from which what `accumulate` adds can be taken away again without loss."""
        return round_to_grid(x) if self._rounds(x) else x

    def accumulate(self, target: Tensor, value: Tensor, sign: int = 1) -> None:
        """Add to ``target`` in place, or subtract; the one undoes the other, exactly under autocast."""
        if self._rounds(target):
            add_rounded(target, value, sign)
        else:
            target.add_(value, alpha=sign)

    def _rounds(self, x: Tensor) -> bool:
        return x.dtype == torch.float32 and self.compute_dtype(x.dtype) != x.dtype

    def compute_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """What convolutions compute in on tensors of this dtype."""
        enabled, lower = self._autocast.get(self.device.type, (False, dtype))
        return lower if enabled else dtype


class Repeatable:
    """A module that can be run again as it ran: under the same autocast, drawing the same random numbers."""

    def __init__(self, module: nn.Module, conditions: Conditions) -> None:
        self._module = module
        self._conditions = conditions
        self._random: RandomState | None = None

    @property
    def is_random(self) -> bool:
        """Whether the module drew random numbers when it ran."""
        return self._random is not None

    def run(self, x: Tensor) -> Tensor:
        if is_random(self._module):
            self._random = RandomState(self._conditions.device)
        with self._conditions.autocast():
            y: Tensor = self._module(x)
        return y

    def again(self, x: Tensor) -> "Again":
        with self._conditions.autocast(), self._random.again() if self._random else nullcontext():
            return Again(self._module, x)


class Again:
    """A module's output, computed again, and the way back through it. The output can be let go before going back."""

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        # An alias with a version counter of its own: x may be one half of a tensor whose other half is changed in
        # place while the graph, which reads this half alone, is alive.
        self._x = x.data.requires_grad_()
        parameters = dict(module.named_parameters())
        # Stand-ins for the parameters: hooks on the parameters themselves must run once, when autograd gets them.
        stand_ins = {name: p.detach().requires_grad_(p.requires_grad) for name, p in parameters.items()}
        self._trained = [(p, stand_ins[name]) for name, p in parameters.items() if p.requires_grad]
        with torch.enable_grad():
            y: Tensor = functional_call(module, stand_ins, (self._x,))
        # The graph needs no values of its output, so that they can be freed before it is differentiated.
        self._edge = get_gradient_edge(y)
        self._value: Tensor | None = y.detach()

    def take_value(self) -> Tensor:
        """The output, once; it is held no longer here."""
        value, self._value = self._value, None
        assert value is not None, "a value is taken once"
        return value

    def back(self, gradient: Tensor, gradients: Gradients) -> Tensor:
        """Add the parameters' gradients to ``gradients``; return that of x."""
        inputs = [self._x, *(stand_in for _, stand_in in self._trained)]
        d_x, *found = torch.autograd.grad([self._edge], inputs, [gradient], allow_unused=True)
        for (parameter, _), value in zip(self._trained, found, strict=True):
            if value is not None:
                add_gradient(gradients, parameter, value)
        return torch.zeros_like(self._x) if d_x is None else d_x


def add_gradient(gradients: Gradients, parameter: Tensor, value: Tensor) -> None:
    """A parameter used twice gets the sum; a frozen one nothing."""
    if parameter.requires_grad:
        known = gradients.get(parameter)
        gradients[parameter] = value if known is None else known + value
