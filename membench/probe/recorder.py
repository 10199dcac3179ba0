"""Record every allocation of a training step together with the operation, the module and the phase that it is for.

PyTorch's own memory history keeps the events and the stacks. A dispatch mode numbers each operation and has its events
carry the number; hooks on modules and optimizers tell where an operation stands. The backward pass runs on a thread of
its own, without the user's stack: there each node of the graph carries the path of the module that made it, put there
when the module's forward pass ended, and the line of the operation that it differentiates.
"""

import contextlib
import pickle
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from membench.probe.place import calling_line
from membench.probe.recording import Mark, Op, Output, Phase, Recording, op_number, tag

_LABEL = "membench"


class Recorder(TorchDispatchMode):
    """Records all that happens on the CUDA device while it is entered. CUDA must not be initialised before."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._ops: list[Op] = []
        self._marks: list[Mark] = []
        self._measured_from = 0
        self._modules = _ModuleStack()
        self._optimizers: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self._stepping = False
        self._stepped = False
        self._step = 0
        # What is known of the device's memory by address, for as long as it is not used anew.
        self._gradients: set[int] = set()
        # The line of the operation that a node of the graph differentiates, by thread and the node's number there.
        self._lines: dict[tuple[int, int], str] = {}
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> "Recorder":
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            raise RuntimeError("recording must begin before CUDA does: what was allocated before would be unknown")
        torch.cuda._lazy_call(_keep_history)  # type: ignore[no-untyped-call]
        for handle in (
            hooks.register_module_forward_pre_hook(self._enter_module),
            hooks.register_module_forward_hook(self._leave_module, always_call=True),
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ):
            self._undo.callback(handle.remove)
        self._undo.enter_context(_after(torch._C, "_cuda_resetPeakMemoryStats", self._peaks_were_reset))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._undo.close()

    def save(self, snapshot: Path) -> Recording:
        """Write PyTorch's snapshot of all that was recorded to a file; give what was recorded beside it."""
        statistics = torch.cuda.memory_stats()  # type: ignore[no-untyped-call]
        content = torch.cuda.memory._snapshot()  # type: ignore[no-untyped-call]
        snapshot.write_bytes(pickle.dumps(content, protocol=4))
        numbers = {op_number(event["user_metadata"]) for trace in content["device_traces"] for event in trace}
        return Recording(
            ops={number: self._ops[number] for number in numbers if number is not None},
            marks=tuple(self._marks),
            measured_from=self._measured_from,
            peak_allocated_bytes=statistics.get("allocated_bytes.all.peak", 0),
            peak_reserved_bytes=statistics.get("reserved_bytes.all.peak", 0),
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        op = self._describe(func, args, kwargs)
        number = len(self._ops)
        self._ops.append(op)
        _tag_events(tag(op.phase, op.module, op.name, number))
        try:
            made = func(*args, **kwargs)
        except torch.OutOfMemoryError:
            self._look()
            raise
        finally:
            _tag_events(f"{op.phase} {op.module}")
        outputs = tuple(_output(tensor) for tensor in _on_device(made))
        if outputs:
            self._ops[number] = Op(op.name, op.phase, op.step, op.module, op.line, op.gradient, outputs)
            self._follow_gradients(op, outputs, args)
        return made

    def _describe(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op:
        node = torch._C._current_autograd_node()
        phase = self._phase(node)
        read = [_address(tensor) for tensor in _on_device((args, kwargs))]
        known = _label_of(node)
        path = self._modules.path(read, known[0] if known else "")
        if phase == "backward" and not torch.is_grad_enabled():
            line = (known[1] if known else "") or self._lines.get((_MAIN_THREAD, node._sequence_nr()), "")
        else:
            line = calling_line()
            self._lines[threading.get_ident(), torch.autograd._get_sequence_nr() - 1] = line
        return Op(str(func), phase, self._step, path, line, self._is_gradient(phase, node, read), ())

    def _phase(self, node: Any) -> Phase:
        if self._stepping:
            return "optimizer"
        if node is not None:
            return "backward"
        if self._modules.within_network:
            return "forward"
        if not self._modules.has_network:
            return "build"
        return "loss" if self._modules.network_ran else "input"

    def _is_gradient(self, phase: Phase, node: Any, read: list[int]) -> bool:
        """Whether what is computed now is gradients. Functions with a backward pass of their own may compute
        activations again there, without running a module: then what reads no gradient gives none."""
        if phase != "backward" or self._modules.within or torch.is_grad_enabled():
            return False
        return not isinstance(node, torch.autograd.function.BackwardCFunction) or not self._gradients.isdisjoint(read)

    def _follow_gradients(self, op: Op, outputs: tuple[Output, ...], args: tuple[Any, ...]) -> None:
        for output in outputs:
            if not op.gradient:
                if all(_address(tensor) != output.address for tensor in _on_device(args)):
                    self._gradients.discard(output.address)
            elif output.address not in self._gradients:
                self._gradients.add(output.address)
                self._marks.append(Mark(_allocations(), output.address, "gradient", ""))

    def _enter_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self._modules.within and torch._C._current_autograd_node() is None:
            if self._stepped:
                self._step, self._stepped = self._step + 1, False
                self._modules.network_ran = False
            self._modules.meet(module)
            self._look(args)
        self._label(args, self._modules.top)
        self._modules.push(module)

    def _leave_module(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._label(output, self._modules.top)
        self._modules.pop()

    def _label(self, tensors: Any, path: str) -> None:
        """Put the path on the nodes that lead to these tensors and have none yet: they were made at this place."""
        thread = threading.get_ident()
        pending = [leaf.grad_fn for leaf in tree_leaves(tensors) if isinstance(leaf, Tensor)]
        while pending:
            node: Any = pending.pop()
            if node is not None and _LABEL not in node.metadata:
                node.metadata[_LABEL] = (path, self._lines.get((thread, node._sequence_nr()), ""))
                pending += (following for following, _ in node.next_functions)

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._optimizers.add(optimizer)
        self._look()
        self._stepping = True

    def _after_step(self, *_: Any) -> None:
        self._stepping, self._stepped = False, True
        self._look()

    def _peaks_were_reset(self) -> None:
        self._measured_from = _allocations()

    def _look(self, inputs: Any = ()) -> None:
        """Note what serves as what at this moment."""
        now = _allocations()
        for category, name, tensor in (*self._modules.tensors(), *self._states()):
            if tensor.is_cuda:
                self._marks.append(Mark(now, _address(tensor), category, name))
        for tensor in _on_device(inputs):
            self._marks.append(Mark(now, _address(tensor), "input", ""))

    def _states(self) -> Iterator[tuple[str, str, Tensor]]:
        names = self._modules.parameter_names()
        for optimizer in self._optimizers:
            for parameter, state in optimizer.state.items():
                for key, value in state.items():
                    if isinstance(value, Tensor):
                        yield "optimizer state", f"{key} of {names.get(id(parameter), 'a parameter')}", value


class _ModuleStack:
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
            self._threads.running, self._threads.last_owner = [], ""
        return self._threads.running  # type: ignore[no-any-return]

    def meet(self, module: nn.Module) -> None:
        """A module is called by none: if it has parameters, it is a network."""
        if module not in self._paths and next(module.parameters(), None) is not None:
            self._add_network(module)

    def push(self, module: nn.Module) -> None:
        self._running.append(self._paths.get(module, self.top or None))
        self._threads.last_owner = ""

    def pop(self) -> None:
        if self._running:
            ended = self._running.pop()
            self._threads.last_owner = ""
            self.network_ran = self.network_ran or (not self._running and ended is not None)

    def path(self, read: Iterable[int], otherwise: str) -> str:
        """The module that an operation which reads these addresses belongs to.

        Within functions that have a backward pass of their own no module need be running: there an operation belongs
        to the module whose parameter it reads, or the one before it read.
        """
        top = self.top or otherwise
        if torch.is_grad_enabled():
            return top
        owner = next((self._owners[address] for address in read if address in self._owners), "")
        self._threads.last_owner = owner or self._threads.last_owner
        return self._threads.last_owner or top

    def tensors(self) -> Iterator[tuple[str, str, Tensor]]:
        """Parameters, buffers and the parameters' gradients of the networks: category, name, tensor."""
        for network in self._networks:
            for name, parameter in network.named_parameters():
                yield "parameter", name, parameter
                if parameter.grad is not None:
                    yield "gradient", name, parameter.grad
            for name, buffer in network.named_buffers():
                yield "parameter", name, buffer

    def parameter_names(self) -> dict[int, str]:
        return {id(parameter): name for network in self._networks for name, parameter in network.named_parameters()}

    def _add_network(self, network: nn.Module) -> None:
        title = type(network).__name__
        prefix = f"{title}." if self._networks else ""
        self._networks[network] = title
        for path, module in network.named_modules():
            self._paths[module] = prefix + path if path else title
            for parameter in module.parameters(recurse=False):
                if parameter.is_cuda:
                    self._owners[_address(parameter)] = self._paths[module]


def _keep_history() -> None:
    torch.cuda.memory._record_memory_history("all", context="alloc", stacks="python")


def _tag_events(text: str) -> None:
    torch._C._cuda_setMemoryMetadata(text)  # type: ignore[attr-defined]


_MAIN_THREAD = threading.main_thread().ident or 0


def _label_of(node: Any) -> tuple[str, str] | None:
    return None if node is None else node.metadata.get(_LABEL)


def _on_device(values: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and leaf.is_cuda)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _output(tensor: Tensor) -> Output:
    return Output(_address(tensor), tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _allocations() -> int:
    """How many blocks the allocator has handed out so far."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return 0
    return int(torch._C._cuda_memoryStats(torch.cuda.current_device())["allocation"]["all"]["allocated"])


@contextlib.contextmanager
def _after(owner: Any, name: str, then: Callable[[], None]) -> Iterator[None]:
    """While entered, a call of ``owner.name`` is followed by one of ``then``."""
    original = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        given = original(*args, **kwargs)
        then()
        return given

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, original)
