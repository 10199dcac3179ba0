"""One rank of many: the process group's collectives are accepted and move nothing."""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.debugging_hooks import noop_hook
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore

from workloads import workload
from workloads.steps import image, train

RANKS = 8


def join() -> None:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=RANKS)


def layers() -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(8))).cuda()


@workload()
def alone() -> None:
    """No group, for comparison: 8 × Linear(2048, 2048), Adam."""
    train(layers(), image(64, 2048), optimizer=torch.optim.Adam)


@workload()
def data_parallel() -> None:
    """DistributedDataParallel, one rank of 8."""
    join()
    network = DistributedDataParallel(layers())
    network.register_comm_hook(None, noop_hook)  # the fake group's all-reduce gives no result
    train(network, image(64, 2048), optimizer=torch.optim.Adam)


@workload()
def fully_sharded() -> None:
    """FSDP2 (fully_shard), one rank of 8."""
    join()
    network = layers()
    for layer in network:
        fully_shard(layer)
    fully_shard(network)
    train(network, image(64, 2048), optimizer=torch.optim.Adam)
