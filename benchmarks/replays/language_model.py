"""The training step that Wedsonlin/assignment2-systems recorded: language_model.py CLONE LENGTH PRECISION STEP FILE

Its network, loss and optimizer are imported from the clone; what is done with them here is what its
``cs336_systems/nsys_profile.py`` does: five steps to warm up, then one with the allocator's history on.
"""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

LAYERS = {"vocab_size": 10000, "d_model": 1024, "num_layers": 24, "num_heads": 16, "d_ff": 4096}
WARM_UP, BATCH = 5, 4


def main(clone: str, length: str, precision: str, step: str, file: str) -> None:
    sys.path.insert(0, str(Path(clone, "cs336-basics")))
    torch.nn.init.trunc_normal_ = leave  # the values of weights decide nothing here, and take half a minute to draw
    from cs336_basics.model import BasicsTransformerLM
    from cs336_basics.optimizer import AdamW

    network = BasicsTransformerLM(context_length=int(length), **LAYERS).to("cuda")
    optimizer = AdamW(network.parameters())
    record = {"training": record_training, "inference": record_inference}[step]
    record(network, optimizer, int(length), precision == "bf16", file)


def leave(weights: torch.Tensor, **_: Any) -> torch.Tensor:
    return weights


def record_training(network: Any, optimizer: Any, length: int, autocast: bool, file: str) -> None:
    from cs336_basics.nn_utils import cross_entropy

    shapes = (WARM_UP, 1, WARM_UP, 1)
    warm_inputs, inputs, warm_targets, targets = (tokens(steps, length) for steps in shapes)
    network.train()
    for step in range(WARM_UP):
        with casting(autocast):
            output = network(warm_inputs[step])
            loss = cross_entropy(output, warm_targets[step])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    del output, loss
    torch.cuda.memory._record_memory_history(max_entries=1_000_000)
    with casting(autocast):
        output = network(inputs[0])
        loss = cross_entropy(output, targets[0])
    loss.backward()
    optimizer.step()
    torch.cuda.memory._dump_snapshot(file)  # before what the step holds is let go


def record_inference(network: Any, _: Any, length: int, autocast: bool, file: str) -> None:
    warm_inputs, inputs = tokens(WARM_UP, length), tokens(1, length)
    network.eval()
    with torch.inference_mode():
        for step in range(WARM_UP):
            with casting(autocast):
                network(warm_inputs[step])
        torch.cuda.memory._record_memory_history(max_entries=1_000_000)
        with casting(autocast):
            network(inputs[0])
    torch.cuda.memory._dump_snapshot(file)


def tokens(steps: int, length: int) -> torch.Tensor:
    return torch.randint(0, LAYERS["vocab_size"], (steps, BATCH, length), device="cuda")


def casting(autocast: bool) -> AbstractContextManager[None]:
    return torch.autocast("cuda", torch.bfloat16, enabled=autocast)


if __name__ == "__main__":
    main(*sys.argv[1:])
