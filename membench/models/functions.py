"""The functions inside blocks: channels in equal channels out, volume kept.

ReLU is the activation because it is the one that flatters no strategy: done in place it keeps one tensor, the input
of the next convolution, where SiLU would make `plain` keep its own input as well. Every activation here follows a
normalisation or a convolution, neither of which needs its output in the backward pass, so in place is exact.
"""

from torch import Tensor, nn

from membench.spec import NetworkSpec


class MBConv(nn.Module):
    """Mobile inverted bottleneck (Sandler et al., MobileNetV2, 2018) on (N, channels, D, H, W).

    1x1x1 expand, norm, ReLU, depthwise k^3, norm, ReLU, optional squeeze-excitation, 1x1x1 linear projection, norm,
    dropout. The skip around it belongs to the block.
    """

    def __init__(self, network: NetworkSpec, channels: int) -> None:
        super().__init__()
        hidden = channels * network.expansion
        kernel, bias = network.kernel_size, network.norm == "none"
        self.expand = nn.Conv3d(channels, hidden, 1, bias=bias)
        self.expand_norm = normalisation(network, hidden)
        self.depthwise = nn.Conv3d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden, bias=bias)
        self.depthwise_norm = normalisation(network, hidden)
        self.activation = nn.ReLU(inplace=True)
        self.excite = SqueezeExcitation(hidden, max(1, channels // 4)) if network.squeeze_excitation else nn.Identity()
        self.project = nn.Conv3d(hidden, channels, 1, bias=bias)
        self.project_norm = normalisation(network, channels)
        self.dropout = dropout(network)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.expand_norm(self.expand(x)))
        hidden = self.activation(self.depthwise_norm(self.depthwise(hidden)))
        hidden = self.project(self.excite(hidden))
        return self.dropout(self.project_norm(hidden))  # type: ignore[no-any-return]


class ConvPair(nn.Module):
    """The residual pair of convolutions (He et al., 2016) on (N, channels, D, H, W).

    k^3 convolution, norm, ReLU, k^3 convolution, norm, dropout. Linear at its end, like MBConv: an activation after
    the addition would have no inverse.
    """

    def __init__(self, network: NetworkSpec, channels: int) -> None:
        super().__init__()
        kernel, bias = network.kernel_size, network.norm == "none"
        self.first = nn.Conv3d(channels, channels, kernel, padding=kernel // 2, bias=bias)
        self.first_norm = normalisation(network, channels)
        self.activation = nn.ReLU(inplace=True)
        self.second = nn.Conv3d(channels, channels, kernel, padding=kernel // 2, bias=bias)
        self.second_norm = normalisation(network, channels)
        self.dropout = dropout(network)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.first_norm(self.first(x)))
        return self.dropout(self.second_norm(self.second(hidden)))  # type: ignore[no-any-return]


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al., 2018), on (N, channels, D, H, W).

    SiLU, as in EfficientNet: the few squeezed values cost no memory, and a ReLU could cut all of them off.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv3d(channels, squeezed, 1)
        self.activation = nn.SiLU()
        self.excite = nn.Conv3d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # A mean keeps only a shape for its backward pass, where adaptive pooling keeps the whole of x.
        squeezed = self.activation(self.squeeze(x.mean((2, 3, 4), keepdim=True)))
        gate: Tensor = self.excite(squeezed).sigmoid()
        return x * gate


def block_function(network: NetworkSpec, channels: int) -> nn.Module:
    """Make the function of ``network.block`` on ``channels`` channels."""
    return MBConv(network, channels) if network.block == "mbconv" else ConvPair(network, channels)


def normalisation(network: NetworkSpec, channels: int) -> nn.Module:
    """Make the network's normalisation; instance norm is group norm with a group for each channel."""
    if network.norm == "none":
        return nn.Identity()
    return nn.GroupNorm(channels if network.norm == "instance" else network.norm_groups, channels)


def dropout(network: NetworkSpec) -> nn.Module:
    """Make the network's dropout of single values; nothing at all when its probability is 0."""
    return nn.Dropout(network.dropout) if network.dropout > 0 else nn.Identity()
