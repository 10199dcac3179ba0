"""What a probe trains: a network with its inputs and loss, membench's own or the user's; or a step of the user's."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu

from membench.errors import UsageError
from membench.imports import import_function
from membench.models import build, get_strategy, segmentation_loss
from membench.spec import ModelSpec, NetworkSpec, ProbeSpec

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adamax": torch.optim.Adamax,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
}
IMPLEMENTATIONS: dict[str, dict[str, bool]] = {
    "foreach": {"foreach": True},
    "for-loop": {"foreach": False},
    "fused": {"fused": True},
}
Step = Callable[[], None]


class Workload(Protocol):
    """What is trained. ``parameters`` is their number, 0 where it is not known."""

    @property
    def parameters(self) -> int: ...

    def begin(self) -> Step:
        """Make what lives across steps, and return the function that runs one training step."""


class Data(NamedTuple):
    """What a network is called with, and what its loss is, given its output."""

    inputs: tuple[Tensor, ...]
    named: dict[str, Tensor]
    loss: Callable[[Any], Tensor]


def make_workload(spec: ProbeSpec, device: torch.device) -> Workload:
    """Make what the probe trains, on the device.

    Raises:
        UsageError: a function of the user's cannot be imported, cannot be called with its arguments, or returns
            something else than it has to; or a strategy is not known.
    """
    network = spec.network
    if isinstance(network, NetworkSpec):
        return Training(
            spec,
            build(network, get_strategy(spec.strategy, slices=spec.slices), device=device),
            _own_data(spec, device),
        )
    if network.step:
        return OwnStep(network.step, network.keywords(spec.volume, spec.batch), device)
    return Training(spec, _users_module(network, spec).to(device), _users_data(network, spec, device))


class Training:
    """Training steps of a module with an optimizer; ``data`` makes what it is given, on the device."""

    def __init__(self, spec: ProbeSpec, module: nn.Module, data: Callable[[], Data]) -> None:
        self.module = module
        self._spec, self._data = spec, data

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    def begin(self) -> Step:
        spec, module = self._spec, self.module
        optimizer = _optimizer(spec, module)
        scaler = torch.amp.GradScaler("cuda", enabled=spec.precision == "fp16")
        inputs, named, loss_of = self._data()

        def step() -> None:
            with _autocast(spec), _kept_elsewhere(spec):
                loss = loss_of(module(*inputs, **named))
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

        return step


class OwnStep:
    """A training step that is the user's own business; see `ModelSpec`."""

    parameters = 0

    def __init__(self, name: str, arguments: dict[str, Any], device: torch.device) -> None:
        self._name = name
        function = import_function(name)
        _check_call(name, function, (device,), arguments)
        self._call: Callable[[], Any] = lambda: function(device, **arguments)

    def begin(self) -> Step:
        made = self._call()
        if made is None:
            return self._call
        if not callable(made):
            raise UsageError(
                f"{self._name} returned a {type(made).__name__}; it must return a function that runs one training "
                "step, or None after it has run one"
            )
        step: Step = made
        return step


def _own_data(spec: ProbeSpec, device: torch.device) -> Callable[[], Data]:
    def make() -> Data:
        network = spec.unet
        images = torch.randn(spec.batch, network.in_channels, *spec.volume, device=device)
        target = torch.zeros(spec.batch, network.out_channels, *spec.volume, dtype=torch.uint8, device=device)
        return Data((images,), {}, lambda output: segmentation_loss(output, target))

    return make


def _users_module(model: ModelSpec, spec: ProbeSpec) -> nn.Module:
    factory, arguments = import_function(model.factory), model.keywords(spec.volume, spec.batch)
    _check_call(model.factory, factory, (), arguments)
    module = factory(**arguments)
    if not isinstance(module, nn.Module):
        raise UsageError(f"{model.factory} returned a {type(module).__name__}, not a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise UsageError(f"the model of {model.factory} has no parameter to train")
    return module


def _users_data(model: ModelSpec, spec: ProbeSpec, device: torch.device) -> Callable[[], Data]:
    loss = import_function(model.loss) if model.loss else None

    def made(texts: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
        for name, shape, dtype in model.tensors(texts, spec.volume, spec.batch):
            kind: torch.dtype = getattr(torch, dtype)
            make = torch.randn if kind.is_floating_point else torch.zeros
            yield name, make(shape, dtype=kind, device=device)

    def make() -> Data:
        inputs = list(made(model.inputs))
        targets = [tensor for _, tensor in made(model.targets)]
        return Data(
            inputs=tuple(tensor for name, tensor in inputs if not name),
            named={name: tensor for name, tensor in inputs if name},
            loss=(lambda output: loss(output, *targets)) if loss else mean_of_outputs,
        )

    return make


def mean_of_outputs(output: Any) -> Tensor:
    """The output's own ``loss``, where it has one; else the sum of the means of all float tensors in it.

    Raises:
        UsageError: there is no float tensor with a gradient in it.
    """
    own = getattr(output, "loss", None)
    if isinstance(own, Tensor):
        return own
    means = [tensor.mean() for tensor in _floats(output) if tensor.requires_grad]
    if not means:
        raise UsageError(
            f"there is nothing to train by in the model's output, a {type(output).__name__}; give a --loss"
        )
    return torch.stack(means).sum() if len(means) > 1 else means[0]


def _floats(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        yield from (tensor for value in output.values() for tensor in _floats(value))
    elif isinstance(output, list | tuple):
        yield from (tensor for value in output for tensor in _floats(value))


def _check_call(name: str, function: Callable[..., Any], given: tuple[Any, ...], arguments: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some of those that are written in C do not tell
    try:
        signature.bind(*given, **arguments)
    except TypeError as error:
        raise UsageError(f"{name} cannot be called so: {error}") from None


def _optimizer(spec: ProbeSpec, module: nn.Module) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": 1e-3, **IMPLEMENTATIONS[spec.optimizer_implementation]}
    if spec.optimizer == "sgd":
        options["momentum"] = 0.99  # nnU-Net's; without momentum SGD would have no state
    return OPTIMIZERS[spec.optimizer](module.parameters(), **options)


@contextlib.contextmanager
def _autocast(spec: ProbeSpec) -> Iterator[None]:
    dtype = AUTOCAST.get(spec.precision)
    with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
        yield


def _kept_elsewhere(spec: ProbeSpec) -> contextlib.AbstractContextManager[None]:
    """Where a model of the user's keeps activations; membench's networks see to that themselves."""
    if isinstance(spec.network, ModelSpec) and spec.strategy == "offload":
        return save_on_cpu(pin_memory=True)
    return contextlib.nullcontext()
