"""Record every allocation of a training step together with the operation, the module and the phase that it is for.

PyTorch's own memory history keeps the events and the stacks. A dispatch mode numbers each operation and has its events
carry the number; hooks on modules and optimizers tell where an operation stands. The backward pass runs on a thread of
its own, without the user's stack: there each node of the graph carries the path of the module that made it, put there
when the module's forward pass ended, and the line of the operation that it differentiates.

Under a dispatch mode autograd adds the gradients of a tensor that is used twice out of place, which it does in place
otherwise (``InputBuffer``). So a recorded peak can be a little higher. Where it is, the steps are recorded once more
without labels, and `membench.profile.carry` puts those of the first recording there.
"""

import contextlib
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from membench.probe.modules import Known, ModuleStack, address_of, on_device, tensors_in
from membench.probe.place import calling_line
from membench.probe.recording import Mark, Op, Output, Phase, Recording, op_number, tag
from membench.result import Measurement

_LABEL = "membench"


class _Label(NamedTuple):
    """What nodes of the graph carry."""

    module: str = ""
    line: str = ""


class Recorder(TorchDispatchMode):
    """Records all that happens on the CUDA device while it is entered. CUDA must not be initialised before.

    Not ``labelled``, it records PyTorch's own history and nothing else, and changes nothing.
    """

    def __init__(self, *, labelled: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._labelled = labelled
        self._ops: list[Op] = []
        self._marks: list[Mark] = []
        self._measured_from = 0
        self._modules = ModuleStack()
        self._optimizers: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self._stepping = False
        self._stepped = False
        self._step = 0
        # What is known of the device's memory by address, for as long as it is not used anew.
        self._gradients: set[int] = set()
        # The line of the operation that a node of the graph differentiates, by thread and the node's number there.
        self._lines: dict[tuple[int, int], str] = {}
        self._undo = contextlib.ExitStack()
        self._snapshot: dict[str, Any] = {"device_traces": []}

    def __enter__(self) -> "Recorder":
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            raise RuntimeError("recording must begin before CUDA does: what was allocated before would be unknown")
        torch.cuda._lazy_call(_keep_history)  # type: ignore[no-untyped-call]
        self._undo.enter_context(_after(torch._C, "_cuda_resetPeakMemoryStats", self._peaks_were_reset))
        if self._labelled:
            for handle in (
                hooks.register_module_forward_pre_hook(self._enter_module),
                hooks.register_module_forward_hook(self._leave_module, always_call=True),
                register_optimizer_step_pre_hook(self._before_step),
                register_optimizer_step_post_hook(self._after_step),
            ):
                self._undo.callback(handle.remove)
            super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        if self._labelled:
            super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._undo.close()

    def take(self) -> None:
        """Take PyTorch's snapshot of all that was recorded so far."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            self._snapshot = torch.cuda.memory._snapshot()
            for trace in self._snapshot["device_traces"]:
                for event in trace:
                    _strip(event.get("frames", []))

    def save(self, file: Path, measurement: Measurement) -> None:
        """Write the snapshot to a file, with a `Recording` in it."""
        tags = {event["user_metadata"] for trace in self._snapshot["device_traces"] for event in trace}
        numbers = {number for number in map(op_number, tags) if number is not None}
        recording = Recording(
            measurement=measurement,
            ops={number: self._ops[number] for number in sorted(numbers)},
            marks=tuple(self._marks),
            measured_from=self._measured_from,
        )
        content = {**self._snapshot, "membench": msgspec.json.encode(recording).decode()}
        file.write_bytes(pickle.dumps(content, protocol=4))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        read = [address_of(tensor) for tensor in on_device((args, kwargs))]
        op = self._describe(func, read)
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
        outputs = tuple(_output(tensor) for tensor in on_device(made))
        if outputs:
            self._ops[number] = Op(op.name, op.phase, op.step, op.module, op.line, op.gradient, outputs)
            self._follow_gradients(op, outputs, read, writes=func._schema.is_mutable)
        return made

    def _describe(self, func: Any, read: list[int]) -> Op:
        node = torch._C._current_autograd_node()
        phase = self._phase(node)
        label = _label_of(node)
        path = self._modules.path(read, label.module, node)
        line = self._line(phase, node, label)
        return Op(str(func), phase, self._step, path, line, self._is_gradient(phase, node, read), ())

    def _line(self, phase: Phase, node: Any, label: _Label) -> str:
        if phase == "backward" and not torch.is_grad_enabled():
            differentiated = label.line or self._lines.get((_MAIN_THREAD, node._sequence_nr()), "")
            # A function with a backward pass of its own has lines there.
            return (_is_users(node) and calling_line()) or differentiated
        line = calling_line()
        self._lines[threading.get_ident(), torch._C._autograd._get_sequence_nr() - 1] = line
        return line

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
        return not _is_users(node) or not self._gradients.isdisjoint(read)

    def _follow_gradients(self, op: Op, outputs: tuple[Output, ...], read: list[int], *, writes: bool) -> None:
        """Keep account of which memory holds gradients; of memory that comes to hold them, not made for it, a mark."""
        for output in outputs:
            if output.address not in read:
                (self._gradients.add if op.gradient else self._gradients.discard)(output.address)
            elif writes and op.gradient and output.address not in self._gradients:
                self._gradients.add(output.address)
                self._marks.append(Mark(_allocations(), output.address, "gradient"))

    def _enter_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self._modules.within and torch._C._current_autograd_node() is None:
            if self._stepped:
                self._step, self._stepped = self._step + 1, False
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
        pending = [tensor.grad_fn for tensor in tensors_in(tensors)]
        while pending:
            node: Any = pending.pop()
            if node is not None and _LABEL not in node.metadata:
                node.metadata[_LABEL] = _Label(path, self._lines.get((thread, node._sequence_nr()), ""))
                pending += (following for following, _ in node.next_functions)

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._optimizers.add(optimizer)
        self._look()
        self._stepping = True

    def _after_step(self, *_: Any) -> None:
        self._stepping, self._stepped = False, True
        self._modules.network_ran = False
        self._look()

    def _peaks_were_reset(self) -> None:
        self._measured_from = _allocations()

    def _look(self, inputs: Any = ()) -> None:
        """Note what serves as what at this moment."""
        now = _allocations()
        for tensor, category, name, module in (*self._modules.tensors(), *self._states()):
            if tensor.is_cuda:
                self._marks.append(Mark(now, address_of(tensor), category, name, module))
        self._marks += (Mark(now, address_of(tensor), "input") for tensor in on_device(inputs))

    def _states(self) -> Iterator[Known]:
        names = {id(tensor): (name, path) for tensor, _, name, path in self._modules.tensors()}
        for optimizer in self._optimizers:
            for parameter, state in optimizer.state.items():
                name, path = names.get(id(parameter), ("a parameter", ""))
                for key, value in state.items():
                    if isinstance(value, Tensor):
                        yield Known(value, "optimizer state", f"{key} of {name}", path)


def _strip(frames: list[dict[str, Any]]) -> None:
    """Take the recorder's own frames off a stack, which is innermost first, and those that led to them."""
    if any(frame["filename"] == __file__ for frame in frames[:2]):
        outside = (n for n, frame in enumerate(frames) if not frame["filename"].endswith(_OURS))
        del frames[: next(outside, len(frames))]


def _keep_history() -> None:
    torch.cuda.memory._record_memory_history("all", context="alloc", stacks="python")


def _tag_events(text: str) -> None:
    torch._C._cuda_setMemoryMetadata(text)


# The frames from an operation to the recorder: its call from there, and what PyTorch wraps dispatch modes in.
_OURS = (__file__, "/torch/_ops.py", "/torch/_dynamo/eval_frame.py", "/torch/_compile.py")
_NO_LABEL = _Label()
_MAIN_THREAD = threading.main_thread().ident or 0


def _label_of(node: Any) -> _Label:
    found: _Label = _NO_LABEL if node is None else node.metadata.get(_LABEL, _NO_LABEL)
    return found


def _is_users(node: Any) -> bool:
    """Whether the node is a function with a backward pass of its own, in Python."""
    return isinstance(node, torch.autograd.function.BackwardCFunction)


def _output(tensor: Tensor) -> Output:
    return Output(address_of(tensor), tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


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
