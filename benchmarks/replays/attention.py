"""The attention that silmont2000/assignment2-systems recorded in ``mem_snapshot.pickle``: attention.py CLONE FILE

Its script (``trace_peak_memory.py``) is not in the repository; the recording has its lines and sizes: float32 attention
with a softmax in elementary operations, 8 × 4096 queries of 16 channels, forward and backward.
"""

import sys

import torch

BATCH, LENGTH, CHANNELS = 8, 4096, 16


def softmax(scores: torch.Tensor) -> torch.Tensor:
    largest = torch.max(scores, dim=-1, keepdim=True)[0]
    powers = torch.exp(scores - largest)
    total = torch.sum(powers, dim=-1, keepdim=True)
    return powers / total


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) / CHANNELS**0.5
    weights = softmax(scores)
    return weights @ value


def main(_: str, file: str) -> None:
    torch.cuda.memory._record_memory_history()
    query = torch.randn(BATCH, LENGTH, CHANNELS, device="cuda", requires_grad=True)
    key = torch.randn(BATCH, LENGTH, CHANNELS, device="cuda", requires_grad=True)
    value = torch.randn(BATCH, LENGTH, CHANNELS, device="cuda", requires_grad=True)
    output = attention(query, key, value)
    loss = output.sum()
    loss.backward()
    torch.cuda.memory._dump_snapshot(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
