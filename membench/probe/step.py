"""Training steps of a network under a budget, in a process of their own; what the allocator counted meanwhile."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from membench.errors import UsageError
from membench.models import build, get_strategy, segmentation_loss
from membench.probe.log import EmulatorLog, read_log
from membench.probe.versions import library_versions
from membench.result import Measurement, Status
from membench.spec import ProbeSpec

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
IMPLEMENTATIONS: dict[str, dict[str, bool]] = {
    "foreach": {"foreach": True},
    "for-loop": {"foreach": False},
    "fused": {"fused": True},
}


def measure(spec: ProbeSpec) -> tuple[Measurement, EmulatorLog]:
    """Run the probe in this process, whose CUDA is not yet initialised; what came of it, and the emulated device's log.

    Running out of memory is a result (``oom``), and so is any other failure (``error``); nothing is raised for either.

    Raises:
        UsageError: the networks refuse the request, for example because they do not know the strategy.
    """
    if spec.allocator:
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = spec.allocator
    trained = _outcome(spec)
    log = read_log()
    if log.refused:
        message = f"the emulated device does not model {', '.join(log.refused)}"
        trained = trained._replace(status="error", message=message)
    return _result(spec, trained, log), log


def warm_up() -> None:
    """Pay before the fork for what every probe would pay after it: the first optimizer imports much of PyTorch.

    A backward pass must not run here: autograd refuses to work in the child of a process in which it has worked.
    """
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])


class _Trained(NamedTuple):
    status: Status
    message: str
    parameters: int


def _outcome(spec: ProbeSpec) -> _Trained:
    parameters = 0
    try:
        device = _prepare(spec)
        network = build(spec.network, get_strategy(spec.strategy, slices=spec.slices), device=device)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        _train(spec, network, device)
    except torch.OutOfMemoryError as error:
        return _Trained("oom", _one_line(error), parameters)
    except UsageError:
        raise
    except Exception as error:
        # cuDNN's plan search ends with this error when the workspace of every plan was refused by the allocator.
        if "unable to find an engine" in str(error) and _statistics().get("num_ooms", 0):
            return _Trained("oom", _one_line(error), parameters)
        return _Trained("error", f"{type(error).__name__}: {_one_line(error)}", parameters)
    return _Trained("fits", "", parameters)


def _prepare(spec: ProbeSpec) -> torch.device:
    """Put the probe's settings into effect; returns the device to use."""
    device = torch.device(spec.device if spec.device.startswith("cuda:") else "cuda:0")
    torch.cuda.set_device(device)
    if spec.budget is not None:
        _limit_allocator(spec.budget, device)
    if spec.tf32 is not None:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = spec.tf32
    torch.manual_seed(0)
    return device


def _train(spec: ProbeSpec, network: torch.nn.Module, device: torch.device) -> None:
    optimizer = _optimizer(spec, network)
    scaler = torch.amp.GradScaler("cuda", enabled=spec.precision == "fp16")
    images = torch.randn(spec.batch, spec.network.in_channels, *spec.volume, device=device)
    target = torch.zeros(spec.batch, spec.network.out_channels, *spec.volume, dtype=torch.uint8, device=device)
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(spec.steps):
        with _autocast(spec):
            loss = segmentation_loss(network(images), target)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    torch.cuda.synchronize(device)


def _optimizer(spec: ProbeSpec, network: torch.nn.Module) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": 1e-3, **IMPLEMENTATIONS[spec.optimizer_implementation]}
    if spec.optimizer == "sgd":
        options["momentum"] = 0.99  # nnU-Net's; without momentum SGD would have no state
    return OPTIMIZERS[spec.optimizer](network.parameters(), **options)


@contextlib.contextmanager
def _autocast(spec: ProbeSpec) -> Iterator[None]:
    dtype = AUTOCAST.get(spec.precision)
    with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
        yield


def _limit_allocator(budget: int, device: torch.device) -> None:
    """Make ``budget`` bytes the allocator's limit. PyTorch takes a fraction of the device and truncates the product."""
    total = torch.cuda.get_device_properties(device).total_memory
    fraction = budget / total
    if int(fraction * total) < budget:
        fraction += 1 / total / 2
    torch.cuda.set_per_process_memory_fraction(min(fraction, 1.0), device)


def _statistics() -> dict[str, int]:
    return torch.cuda.memory_stats() if torch.cuda.is_initialized() else {}  # type: ignore[no-untyped-call]


def _host_bytes() -> int | None:
    """Peak of pinned host memory. Blocks that were freed are kept by their allocator, so this is what it asked for."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    return int(torch.cuda.host_memory_stats().get("allocated_bytes.peak", 0))


def _result(spec: ProbeSpec, trained: _Trained, log: EmulatorLog) -> Measurement:
    counted = _statistics()
    return Measurement(
        spec=spec,
        status=trained.status,
        message=trained.message,
        peak_allocated_bytes=counted.get("allocated_bytes.all.peak", 0),
        peak_reserved_bytes=counted.get("reserved_bytes.all.peak", 0),
        peak_requested_bytes=counted.get("requested_bytes.all.peak", 0),
        largest_workspace_bytes=log.largest_workspace_bytes,
        host_bytes=_host_bytes(),
        allocator_retries=counted.get("num_alloc_retries", 0),
        workspace_retries=counted.get("num_ooms", 0) if trained.status == "fits" else 0,
        device_to_host_reads=log.device_to_host_reads,
        unmodelled_calls=log.refused,
        modelled_calls=log.modelled,
        parameters=trained.parameters,
        versions=library_versions(),
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
