"""What changes the weights: network, optimizer, learning rate, loss scaling, and one step of them.

The very same step is taken on a real device and, for its memory alone, on an emulated one.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from membench.errors import UsageError
from membench.models import build, get_strategy
from membench.probe.workload import AUTOCAST, IMPLEMENTATIONS, OPTIMIZERS
from membench.train.losses import get_loss
from membench.train.spec import TrainSpec


def check(spec: TrainSpec, device_type: str) -> None:
    """Refuse what the networks or the device cannot do, before anything is read or written.

    Raises:
        UsageError: the network cannot run under the strategy, or fp16 is asked for on the CPU.
    """
    get_strategy(spec.strategy, slices=spec.slices).check(spec.network)
    if device_type == "cpu" and spec.precision == "fp16":
        raise UsageError("fp16 is for GPUs; on the CPU choose bf16")


class Training:
    """The state of a training, and how it goes on by a step.

    ``done`` steps have been taken. With several ranks, whose process group exists, gradients are averaged: by DDP,
    where each rank holds the whole network, or by FSDP2, where each holds a part of every parameter, its gradient and
    its optimizer state. ``rehearsed`` is for an emulated device.

    Raises:
        UsageError: see `check`.
    """

    def __init__(self, spec: TrainSpec, device: torch.device, ranks: int = 1, *, rehearsed: bool = False) -> None:
        check(spec, device.type)
        self.spec, self.device, self.done = spec, device, 0
        torch.manual_seed(spec.seed)
        # Initialised on the CPU, so that all devices begin with the same weights.
        self.network: nn.Module = build(spec.network, get_strategy(spec.strategy, slices=spec.slices)).to(device)
        self.loss = get_loss(spec.loss)
        self.data_parallel: DistributedDataParallel | None = None
        if ranks > 1 and spec.parallel == "ddp":
            self.data_parallel = _data_parallel(self.network, rehearsed)
        elif ranks > 1:
            _shard(self.network, device, ranks)
        self.optimizer = _optimizer(spec, self.network)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, spec.steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=spec.precision == "fp16")

    def step(self, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Take ``accumulate`` batches of images (N, 4, X, Y, Z) and regions (N, 3, X, Y, Z) and change the weights.

        Returns this rank's mean loss.
        """
        self.network.train()
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for number, (images, truth) in enumerate(batches, 1):
            with self._communication(number):
                total += self._backward(images, truth)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.done += 1
        return total.item()

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        return float(self.schedule.get_last_lr()[0])

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Inside, each rank has the whole network and may run it as often as it likes; every rank must come."""
        sharded = self.network if isinstance(self.network, FSDPModule) else None
        if sharded:
            sharded.unshard()
        try:
            yield
        finally:
            if sharded:
                sharded.reshard()

    def autocast(self) -> AbstractContextManager[None]:
        """The precision of the training."""
        dtype = AUTOCAST.get(self.spec.precision)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, the samples apart: on the leading rank, but every rank must ask for it."""
        network, optimizer = get_state_dict(
            self.network, self.optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
        )
        return {
            "done": self.done,
            "network": network,
            "optimizer": optimizer,
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the training was whose `state` this is, on every rank."""
        self.done = state["done"]
        set_state_dict(
            self.network,
            self.optimizer,
            model_state_dict=state["network"],
            optim_state_dict=state["optimizer"],
            options=StateDictOptions(full_state_dict=True),
        )
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda" and state["cuda_random"] is not None:
            torch.cuda.set_rng_state(state["cuda_random"].cpu(), self.device)

    def _backward(self, images: Tensor, truth: Tensor) -> Tensor:
        """In a function of its own, so that a batch is gone before the next one comes."""
        images, truth = images.to(self.device), truth.to(self.device)
        with self.autocast():
            loss = self.loss((self.data_parallel or self.network)(images), truth) / self.spec.accumulate
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _communication(self, number: int) -> AbstractContextManager[None]:
        """DDP averages gradients over ranks with the last batch only; FSDP2 with each, lest a rank hold them whole."""
        if self.data_parallel and number < self.spec.accumulate:
            return self.data_parallel.no_sync()
        return nullcontext()


def _shard(network: nn.Module, device: torch.device, ranks: int) -> None:
    """Shard the network as a whole: gathered for the forward pass, and until the backward pass has ended.

    Strategies run blocks by reading their parameters, in both passes, without calling the modules that FSDP2 could
    gather one by one. Parameters are little beside the activations of a volume.
    """
    fully_shard(network, mesh=init_device_mesh(device.type, (ranks,)), reshard_after_forward=False)


def _data_parallel(network: nn.Module, rehearsed: bool) -> DistributedDataParallel:
    """Where nothing is computed, DDP must not go by values that it reads back from the device.

    It reads to compare the weights of the ranks at the start, and to put its buckets in the order in which gradients
    arrive, which it does unless it is to look for unused parameters. Their sizes in all stay the same.
    """
    return DistributedDataParallel(
        network, gradient_as_bucket_view=True, init_sync=not rehearsed, find_unused_parameters=rehearsed
    )


def _optimizer(spec: TrainSpec, network: nn.Module) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": spec.learning_rate, **IMPLEMENTATIONS[spec.optimizer_implementation]}
    if spec.optimizer == "sgd":
        options |= {"momentum": 0.99, "nesterov": True}  # nnU-Net's
    return OPTIMIZERS[spec.optimizer](network.parameters(), **options)
