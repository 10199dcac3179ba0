"""Training: precision, optimizers, what is kept."""

import functools

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from workloads import workload
from workloads.steps import image, train


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(512, 2048), nn.GELU(), nn.Linear(2048, 512))


@workload()
def bf16() -> None:
    """autocast, bf16."""
    train(perceptron(), image(64, 512), precision=torch.bfloat16)


@workload()
def fp16() -> None:
    """autocast, fp16, GradScaler."""
    train(perceptron(), image(64, 512), precision=torch.float16)


@workload()
def foreach() -> None:
    """AdamW, foreach."""
    train(perceptron(), image(64, 512), optimizer=functools.partial(torch.optim.AdamW, foreach=True))


@workload()
def fused() -> None:
    """AdamW, fused, fp16 with GradScaler."""
    fused = functools.partial(torch.optim.AdamW, fused=True)
    train(perceptron(), image(64, 512), optimizer=fused, precision=torch.float16)


@workload()
def capturable() -> None:
    """Adam, capturable."""
    train(perceptron(), image(64, 512), optimizer=functools.partial(torch.optim.Adam, capturable=True))


@workload()
def other_optimizers() -> None:
    """SGD fused, RMSprop, Adagrad, NAdam, RAdam, Adafactor."""
    options = torch.optim
    for optimizer in (functools.partial(options.SGD, fused=True), options.RMSprop, options.Adagrad, options.NAdam):
        train(perceptron(), image(64, 512), optimizer=optimizer)
    for optimizer in (options.RAdam, options.Adafactor):
        train(perceptron(), image(64, 512), optimizer=optimizer)


@workload()
def clipping() -> None:
    """clip_grad_norm_, EMA of the weights."""
    network = perceptron().cuda()
    average = torch.optim.swa_utils.AveragedModel(network)
    network(image(64, 512)).mean().backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    average.update_parameters(network)


@workload()
def checkpointing() -> None:
    """torch.utils.checkpoint."""
    network = perceptron()
    train(network, image(64, 512), loss=lambda y: checkpoint(network, y, use_reentrant=False).mean())


@workload()
def offload() -> None:
    """save_on_cpu, pinned."""
    with torch.autograd.graph.save_on_cpu(pin_memory=True):
        train(perceptron(), image(64, 512))


@workload()
def functional() -> None:
    """torch.func: grad, vmap."""
    network = perceptron().cuda()
    parameters = dict(network.named_parameters())

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(network, parameters, x).mean()

    torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, image(8, 512))
