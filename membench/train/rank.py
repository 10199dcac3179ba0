"""One rank of a training on an emulated card: the process that `membench.train.rehearsal` starts."""

import os
import sys

import msgspec
import torch
from torch import Tensor, distributed
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.futures import Future
from torch.testing._internal.distributed.fake_pg import FakeStore

from membench.probe.log import read_log
from membench.train.rehearsal import Request
from membench.train.result import Peak
from membench.train.step import Training

STEPS = 2  # so that optimizer state and reuse are in


def _measure(request: Request) -> Peak:
    """Run the steps on the device that is there."""
    found = Peak(status="fits", device=request.device, kind="emulated", ranks=request.ranks)
    try:
        device = torch.device("cuda", 0)
        torch.cuda.set_device(device)
        if request.ranks > 1:
            _pretend(request.ranks)
        training = Training(request.spec, device, request.ranks, rehearsed=True)
        if training.data_parallel:
            training.data_parallel.register_comm_hook(None, _unmoved)
        images = torch.zeros(request.spec.batch, request.spec.network.in_channels, *request.volume)
        truth = torch.zeros(request.spec.batch, request.spec.network.out_channels, *request.volume, dtype=torch.uint8)
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(STEPS):
            training.step((images, truth) for _ in range(request.spec.accumulate))
    except torch.OutOfMemoryError as error:
        message = " ".join(str(error).split("\n\n")[0].split())
        found = msgspec.structs.replace(found, status="oom", message=message)
    if refused := read_log().refused:
        message = f"the emulated device does not model {', '.join(refused)}"
        found = msgspec.structs.replace(found, status="error", message=message)
    return msgspec.structs.replace(
        found,
        allocated_bytes=torch.cuda.max_memory_allocated(),
        reserved_bytes=torch.cuda.max_memory_reserved(),
    )


def _pretend(ranks: int) -> None:
    """A process group of which this is the only process: PyTorch's own fake one, which moves nothing."""
    distributed.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())


def _unmoved(state: object, bucket: GradBucket) -> Future[Tensor]:
    """In place of the all-reduce, which is in place too: the gradients in their bucket."""
    moved: Future[Tensor] = Future()
    moved.set_result(bucket.buffer())
    return moved


def main() -> None:
    """Answer the request on standard input; whatever libraries print goes to standard error."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answer.write(msgspec.json.encode(_measure(request)))
    answer.flush()
    # All is told. Where threads of PyTorch still run, as now and then in a child of torchrun, its own end would abort.
    os._exit(0)


if __name__ == "__main__":
    main()
