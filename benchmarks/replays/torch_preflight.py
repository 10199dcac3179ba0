"""The calibration run of torch-preflight: everything that it runs in its one process, in its order.

The order matters. The workspaces of cuBLAS stay where the first product of each thread put them, and so decide which
segments of the allocator later workloads share; without what comes first here, reserved peaks move by up to 4 %.
Weights are random instead of downloaded, which is the same to the allocator.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peaks import Step, peaks_of, tell_peak
from torch import nn
from torch.nn import functional

STACKS = (  # layers, width, heads, inner width, batch, length, dropout, fused attention
    (4, 512, 8, 2048, 4, 256, 0.0, False),
    (6, 768, 12, 3072, 8, 512, 0.1, False),
    (6, 768, 12, 3072, 4, 1024, 0.0, True),
    (12, 768, 12, 3072, 2, 512, 0.0, False),
    (4, 1024, 16, 4096, 2, 1024, 0.0, True),
)
TOKENS = ((4, 128), (8, 256))  # batch, length
IMAGES = ((16, 224), (32, 224))  # batch, side


def main() -> None:
    make_handles()
    for layers, width, heads, inner, batch, length, dropout, fused in STACKS:
        blocks = partial(Block, width, heads, inner, dropout, fused=fused)
        peaks_of(partial(stack, blocks, layers, (batch, length, width)), warm_up=True)
    for name in ("gpt2", "distilbert", "bert"):
        for batch, length in TOKENS:
            tell_peak(f"{name} {batch}x{length}", partial(transformer, name, batch, length), warm_up=True)
    for batch, side in IMAGES:
        tell_peak(f"resnet50 {batch}x{side}", partial(resnet50, batch, side), warm_up=True)


def make_handles() -> None:
    """The first product and the first convolution of a process: each makes its library's handle."""
    square = torch.randn(256, 256, device="cuda")
    (square @ square).sum().item()
    layer = nn.Conv2d(3, 16, 3, padding=1).cuda()
    layer(torch.randn(1, 3, 64, 64, device="cuda")).sum().backward()


def training(network: nn.Module, rate: float, forward: Callable[[], tuple[torch.Tensor, Any]]) -> Step:
    """A step with AdamW under autocast, to bfloat16 where PyTorch says that the card can.

    ``forward`` gives the loss, and what else the published step held until it ended.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=dtype):
            loss, _held = forward()
        loss.backward()
        optimizer.step()

    return step


class Block(nn.Module):
    """A pre-norm transformer layer on (batch, length, width); projections have a bias where there is dropout."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, *, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        linear = partial(nn.Linear, bias=dropout > 0)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.query, self.key, self.value, self.out = (linear(width, width) for _ in range(4))
        self.widen, self.narrow = linear(width, inner), linear(inner, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.dropout(self.out(self.attend(self.norms[0](tokens))))
        return tokens + self.dropout(self.narrow(functional.gelu(self.widen(self.norms[1](tokens)))))

    def attend(self, tokens: torch.Tensor) -> torch.Tensor:
        def split(projection: nn.Module) -> torch.Tensor:
            return projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)

        query, key, value = split(self.query), split(self.key), split(self.value)
        if self.fused:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            weights = (query @ key.transpose(-2, -1)) / query.shape[-1] ** 0.5
            mixed = self.dropout(weights.softmax(-1)) @ value
        return mixed.transpose(1, 2).reshape(tokens.shape)


def stack(block: Any, layers: int, shape: tuple[int, int, int]) -> Step:
    network = nn.Sequential(*(block() for _ in range(layers))).cuda()
    tokens = torch.randn(shape, device="cuda")
    return training(network, 1e-4, lambda: (network(tokens).float().pow(2).mean(), None))


def transformer(name: str, batch: int, length: int) -> Step:
    import transformers

    config = {"gpt2": "GPT2Config", "distilbert": "DistilBertConfig", "bert": "BertConfig"}[name]
    family = transformers.AutoModelForCausalLM if name == "gpt2" else transformers.AutoModel
    network = family.from_config(getattr(transformers, config)()).cuda().train()
    tokens = torch.randint(network.config.vocab_size - 1, (batch, length), device="cuda")

    def forward() -> tuple[torch.Tensor, Any]:
        if name == "gpt2":
            output = network(input_ids=tokens, labels=tokens)
            return output.loss, output
        output = network(input_ids=tokens)
        return output.last_hidden_state.float().pow(2).mean(), output

    return training(network, 1e-5, forward)


def resnet50(batch: int, side: int) -> Step:
    import torchvision

    network = torchvision.models.resnet50().cuda()
    images = torch.randn(batch, 3, side, side, device="cuda")
    labels = torch.randint(1000, (batch,), device="cuda")
    return training(network, 1e-4, lambda: (functional.cross_entropy(network(images), labels), None))


if __name__ == "__main__":
    main()
