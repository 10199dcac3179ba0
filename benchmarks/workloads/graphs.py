"""CUDA graphs and compiled code."""

import sysconfig
from pathlib import Path

import torch
from torch import nn

from workloads import workload
from workloads.steps import image, train


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(512, 2048), nn.GELU(), nn.Linear(2048, 512)).cuda()


@workload()
def capture() -> None:
    """torch.cuda.graph: a whole training step, captured and replayed."""
    network, x = perceptron(), image(64, 512)
    optimizer = torch.optim.Adam(network.parameters(), capturable=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(x).mean().backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    graph.replay()
    graph.reset()


@workload()
def graphed_callables() -> None:
    """make_graphed_callables."""
    network = torch.cuda.make_graphed_callables(perceptron(), (image(64, 512),))
    train(network, image(64, 512))


def compile_and_train(network: nn.Module, x: torch.Tensor, mode: str | None = None) -> None:
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise ModuleNotFoundError("Triton builds its launcher with it", name="Python.h")
    compiled = torch.compile(network, mode=mode)
    train(compiled, x)
    torch.cuda.reset_peak_memory_stats()  # what compiling took is gone, and depends on what is cached
    train(compiled, x)


@workload()
def compiled() -> None:
    """torch.compile."""
    compile_and_train(perceptron(), image(64, 512))


@workload()
def compiled_convolutions() -> None:
    """torch.compile, convolutions."""
    network = nn.Sequential(nn.Conv3d(8, 16, 3, padding=1), nn.InstanceNorm3d(16), nn.LeakyReLU(), nn.Conv3d(16, 8, 1))
    compile_and_train(network.cuda(), image(2, 8, 32, 32, 32))


@workload()
def reduce_overhead() -> None:
    """torch.compile(mode="reduce-overhead")."""
    compile_and_train(perceptron(), image(64, 512), "reduce-overhead")


@workload()
def max_autotune() -> None:
    """torch.compile(mode="max-autotune-no-cudagraphs")."""
    compile_and_train(perceptron(), image(64, 512), "max-autotune-no-cudagraphs")
