"""Running modules again in a backward pass, under the conditions of the forward pass, and taking gradients through."""

from contextlib import AbstractContextManager, ExitStack, nullcontext

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.func import functional_call

from membench.models.strategies.randomness import RandomState, is_random
from membench.models.strategies.sliced import SlicedBottleneck, can_slice

Gradients = dict[nn.Parameter, Tensor]


class Conditions:
    """What decides, besides tensors, what a module computes: autocast and random numbers."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states: dict[int, RandomState] = {}
        self._autocast = {
            kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
            for kind in {device.type, "cpu"}
            if torch.amp.is_autocast_available(kind)
        }

    def autocast(self) -> ExitStack:
        """Autocast as it was, without its cache: weights cast while gradients are off must not be found later."""
        stack = ExitStack()
        for kind, (enabled, dtype) in self._autocast.items():
            stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False))
        return stack

    def compute_dtype(self, x: Tensor) -> torch.dtype:
        """What convolutions of x compute in."""
        enabled, dtype = self._autocast.get(self._device.type, (False, x.dtype))
        return dtype if enabled else x.dtype

    def remember_random(self, module: nn.Module) -> None:
        """Keep the random state in which the module is about to run, if it draws numbers."""
        if is_random(module):
            self._states[id(module)] = RandomState(self._device)

    def random_again(self, module: nn.Module) -> AbstractContextManager[None]:
        """Let the module draw the numbers that it drew in the forward pass."""
        state = self._states.get(id(module))
        return state.again() if state else nullcontext()


class Replay:
    """A module's output, computed again, and the way back through it. The value can be let go before going back."""

    def __init__(self, module: nn.Module, x: Tensor, *, wants_x: bool = True) -> None:
        # An alias with a version counter of its own: x may be one half of a tensor, whose other half is changed in
        # place while the graph is alive. The graph reads this half alone.
        self._x = x.data.requires_grad_(wants_x)
        # Stand-ins for the parameters: hooks on the parameters themselves must run once, when autograd gets them.
        stand_ins = {
            name: parameter.detach().requires_grad_(parameter.requires_grad)
            for name, parameter in module.named_parameters()
        }
        with torch.enable_grad():
            y: Tensor = functional_call(module, stand_ins, (self._x,))
        self._wanted = [
            (parameter, stand_ins[name]) for name, parameter in module.named_parameters() if parameter.requires_grad
        ]
        self._edge = get_gradient_edge(y) if y.requires_grad else None
        self.value: Tensor | None = y.detach()

    def take_value(self) -> Tensor:
        """The output; it is held no longer here."""
        value, self.value = self.value, None
        assert value is not None, "a value is taken once"
        return value

    def back(self, gradient: Tensor, gradients: Gradients) -> Tensor | None:
        """Add the parameters' gradients to ``gradients``; return that of x, None where none is wanted."""
        self.value = None
        if self._edge is None:
            return None
        inputs = [*([self._x] if self._x.requires_grad else []), *(stand_in for _, stand_in in self._wanted)]
        found = list(torch.autograd.grad([self._edge], inputs, [gradient], allow_unused=True))
        d_x = found.pop(0) if self._x.requires_grad else None
        for (parameter, _), value in zip(self._wanted, found, strict=True):
            if value is not None:
                add_gradient(gradients, parameter, value)
        return d_x


def add_gradient(gradients: Gradients, parameter: nn.Parameter, value: Tensor) -> None:
    """A module used twice gets the sum."""
    known = gradients.get(parameter)
    gradients[parameter] = value if known is None else known + value


class Coupled:
    """A function f of one half of the channels, added to the other half: ``target += f(source)``, and its undoing."""

    def __init__(self, function: nn.Module, conditions: Conditions, slices: int) -> None:
        self.function = function
        self._conditions = conditions
        self._slices = slices if can_slice(function) else 1

    def add(self, target: Tensor, source: Tensor) -> None:
        """Couple in place."""
        self._conditions.remember_random(self.function)
        if self._slices == 1:
            target.add_(self.function(source))
        else:
            bottleneck = self._sliced(source)
            target.add_(bottleneck.tail(bottleneck.forward(source)))

    def undo(self, target: Tensor, source: Tensor, d_target: Tensor, d_source: Tensor, gradients: Gradients) -> None:
        """Undo `add`, and take the gradients back through it, in place."""
        if self._slices == 1:
            with self._conditions.random_again(self.function):
                again = Replay(self.function, source)
            target.sub_(again.take_value())
            d_x = again.back(d_target, gradients)
            if d_x is not None:
                d_source.add_(d_x)
            return
        bottleneck = self._sliced(source)
        with self._conditions.random_again(self.function):
            again = Replay(bottleneck.tail, bottleneck.forward(source))
        target.sub_(again.take_value())
        d_projected = again.back(d_target, gradients)
        del again
        assert d_projected is not None
        for parameter, value in bottleneck.backward(source, d_projected, d_source).items():
            if parameter.requires_grad:
                add_gradient(gradients, parameter, value)

    def _sliced(self, source: Tensor) -> SlicedBottleneck:
        return SlicedBottleneck(self.function, self._slices, self._conditions.compute_dtype(source))
