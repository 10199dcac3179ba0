"""transformers' networks."""

import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from workloads import workload
from workloads.steps import labels, train


class WithLoss(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.network(tokens, labels=tokens).loss


@workload()
def gpt2() -> None:
    """transformers GPT-2, 4×512."""
    network = WithLoss(GPT2LMHeadModel(GPT2Config()))
    train(network, labels(4, 512), optimizer=torch.optim.AdamW, precision=torch.bfloat16)


@workload()
def bert() -> None:
    """transformers BERT, 4×512."""
    network = WithLoss(BertForMaskedLM(BertConfig()))
    train(network, labels(4, 512), optimizer=torch.optim.AdamW, precision=torch.bfloat16)
