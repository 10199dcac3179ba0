"""Recurrent networks: cuDNN's, and PyTorch's own kernels."""

import torch
from torch import nn

from workloads import workload
from workloads.steps import image, train


def recur(network: nn.Module) -> None:
    train(network, image(50, 16, 256))


@workload()
def lstm() -> None:
    """LSTM."""
    recur(nn.LSTM(256, 512, num_layers=2))


@workload()
def gru() -> None:
    """GRU."""
    recur(nn.GRU(256, 512, num_layers=2))


@workload()
def elman() -> None:
    """RNN."""
    recur(nn.RNN(256, 512))


@workload()
def lstm_native() -> None:
    """LSTM, cuDNN off."""
    with torch.backends.cudnn.flags(enabled=False):
        recur(nn.LSTM(256, 512, num_layers=2))


@workload(refuses="cudnnDropoutGetStatesSize")
def lstm_dropout() -> None:
    """LSTM with dropout between its layers."""
    recur(nn.LSTM(256, 512, num_layers=2, dropout=0.1))
