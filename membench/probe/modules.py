"""Which modules are running, and which tensors are theirs."""

import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from membench.probe.recording import Category


class Known(NamedTuple):
    """What a tensor serves as, and whom."""

    tensor: Tensor
    category: Category
    name: str
    module: str


class ModuleStack:
    """The modules that are running, per thread, and the networks that they belong to.

    A network is a module with parameters that is called by none. Its paths are those of ``named_modules``; further
    networks have their class before it. Other modules that nobody calls are losses.
    """

    def __init__(self) -> None:
        self.network_ran = False
        self._networks: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._paths: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._owners: dict[int, str] = {}
        self._threads = threading.local()

    @property
    def has_network(self) -> bool:
        return bool(self._networks)

    @property
    def within(self) -> bool:
        return bool(self._running)

    @property
    def within_network(self) -> bool:
        return any(path is not None for path in self._running)

    @property
    def top(self) -> str:
        return next((path for path in reversed(self._running) if path is not None), "")

    @property
    def _running(self) -> list[str | None]:
        if not hasattr(self._threads, "running"):
            self._threads.running, self._threads.last_owner = [], None
        return self._threads.running  # type: ignore[no-any-return]

    def meet(self, module: nn.Module) -> None:
        """A module is called by none: if it has parameters, it is a network."""
        if module not in self._paths and next(module.parameters(), None) is not None:
            self._add_network(module)

    def push(self, module: nn.Module) -> None:
        self._running.append(self._paths.get(module, self.top or None))
        self._threads.last_owner = None

    def pop(self) -> None:
        if self._running:
            ended = self._running.pop()
            self._threads.last_owner = None
            self.network_ran = self.network_ran or (not self._running and ended is not None)

    def path(self, read: Iterable[int], otherwise: str, node: Any) -> str:
        """The module that an operation which reads these addresses belongs to.

        Within functions that have a backward pass of their own no module need be running: there an operation belongs
        to the module whose parameter it reads, or the one before it in the same function read.
        """
        top = self.top or otherwise
        if torch.is_grad_enabled():
            return top
        within, last = node and node._sequence_nr(), self._threads.last_owner
        owner = next((self._owners[address] for address in read if address in self._owners), "")
        owner = owner or (last[1] if last and last[0] == within else "")
        self._threads.last_owner = (within, owner)
        return owner or top

    def tensors(self) -> Iterator[Known]:
        """Parameters, buffers and the parameters' gradients of the networks."""
        for network in self._networks:
            for inner in network.modules():
                path = self._paths.get(inner, "")
                for name, parameter in inner.named_parameters(prefix=path, recurse=False):
                    yield Known(parameter, "parameter", name, path)
                    if parameter.grad is not None:
                        yield Known(parameter.grad, "gradient", f"gradient of {name}", path)
                for name, buffer in inner.named_buffers(prefix=path, recurse=False):
                    yield Known(buffer, "parameter", f"buffer {name}", path)

    def _add_network(self, network: nn.Module) -> None:
        title = type(network).__name__
        prefix = f"{title}." if self._networks else ""
        self._networks[network] = title
        for path, module in network.named_modules():
            self._paths[module] = prefix + path if path else title
            for parameter in module.parameters(recurse=False):
                if parameter.is_cuda:
                    self._owners[address_of(parameter)] = self._paths[module]


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


def on_device(values: Any) -> Iterator[Tensor]:
    return (tensor for tensor in tensors_in(values) if tensor.is_cuda)


def address_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
