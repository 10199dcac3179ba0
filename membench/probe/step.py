"""Training steps of a network under a budget, in a process of their own; what the allocator counted meanwhile."""

import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from membench.errors import UsageError
from membench.probe.exactness import inexact_because, sensitivities
from membench.probe.log import EmulatorLog, read_log
from membench.probe.versions import library_versions
from membench.probe.words import users_line
from membench.probe.workload import make_workload
from membench.result import Measurement, Status
from membench.spec import ProbeSpec


def measure(spec: ProbeSpec, at_end: Callable[[], None] = lambda: None) -> tuple[Measurement, EmulatorLog]:
    """Run the probe in this process, whose CUDA is not yet initialised; what came of it, and the emulated device's log.

    Running out of memory is a result (``oom``), and so is any other failure (``error``); nothing is raised for either.
    ``at_end`` is called when the steps have ended, one way or another, and the network is still there.

    Raises:
        UsageError: the networks refuse the request, for example because they do not know the strategy.
    """
    if spec.allocator:
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = spec.allocator
    trained = _outcome(spec, at_end)
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


def _outcome(spec: ProbeSpec, at_end: Callable[[], None]) -> _Trained:
    parameters = 0
    try:
        device = _prepare(spec)
        workload = make_workload(spec, device)
        parameters = workload.parameters
        step = workload.begin()
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(spec.steps):
            step()
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError as error:
        return _Trained("oom", _one_line(error), parameters)
    except UsageError:
        raise
    except Exception as error:
        # cuDNN's plan search ends with this error when the workspace of every plan was refused by the allocator.
        if "unable to find an engine" in str(error) and _statistics().get("num_ooms", 0):
            return _Trained("oom", _one_line(error), parameters)
        return _Trained("error", f"{type(error).__name__}: {_one_line(error)}{users_line(error)}", parameters)
    finally:
        at_end()
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
    allocated, reserved = (counted.get(f"{name}_bytes.all.peak", 0) for name in ("allocated", "reserved"))
    reasons = tuple(inexact_because(spec, log))
    return Measurement(
        spec=spec,
        status=trained.status,
        message=trained.message,
        peak_allocated_bytes=allocated,
        peak_reserved_bytes=reserved,
        peak_requested_bytes=counted.get("requested_bytes.all.peak", 0),
        largest_workspace_bytes=log.largest_workspace_bytes,
        host_bytes=_host_bytes(),
        allocator_retries=counted.get("num_alloc_retries", 0),
        workspace_retries=counted.get("num_ooms", 0) if trained.status == "fits" else 0,
        device_to_host_reads=log.device_to_host_reads,
        unmodelled_calls=log.refused,
        modelled_calls=log.modelled,
        exact=not reasons if trained.status in ("fits", "oom") else None,
        inexact_because=reasons,
        sensitivities=tuple(
            sensitivities(spec, allocated=allocated, reserved=reserved, convolves=log.convolved, has_tf32=_has_tf32())
        ),
        parameters=trained.parameters,
        versions=library_versions(),
    )


def _has_tf32() -> bool:
    return torch.cuda.is_initialized() and torch.cuda.get_device_capability() >= (8, 0)  # type: ignore[no-untyped-call]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
