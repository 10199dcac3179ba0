"""The 3-D U-Net: stages of blocks, and what leads from one resolution to the next."""

from collections.abc import Iterator
from itertools import pairwise
from math import prod
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import conv3d

from membench.errors import UsageError
from membench.models.blocks import Block, make_block
from membench.models.strategies import NetworkStrategy, Strategy, get_strategy
from membench.models.strategies.staged import Staged
from membench.spec import NetworkSpec


class Stage(nn.Module):
    """Blocks at one resolution, run by this stage's own strategy: (N, C, D, H, W) to the same shape.

    What flows past the blocks is in the parameters' dtype, also where autocast hands over half precision: sums in
    half precision could not be undone. (Group norm gives float32 under autocast on CUDA, so little changes there.)
    """

    strategy: Strategy

    def __init__(self, network: NetworkSpec, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(make_block(network, channels) for _ in range(network.blocks))
        self.strategy = get_strategy("plain")

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(next(self.parameters()).dtype)
        return self.strategy.run(cast("list[Block]", list(self.blocks)), x)


class SumSkip(nn.Module):
    """Add what comes up to what was kept: nothing is saved for the backward pass."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return x + skip


class ConcatSkip(nn.Module):
    """Concatenate along the channels and reduce 2C to C by a 1x1x1 convolution, without the concatenated copy.

    A 1x1x1 convolution of concatenated tensors is the sum of the convolutions of each with its part of the weight.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv3d(2 * channels, channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        for_x, for_skip = self.reduce.weight.chunk(2, dim=1)
        return conv3d(x, for_x, self.reduce.bias) + conv3d(skip, for_skip)


class UNet3d(nn.Module):
    """A 3-D U-Net as `NetworkSpec` describes it: (N, in_channels, D, H, W) to logits (N, out_channels, D, H, W).

    The stem is a k^3 convolution, downsampling a 2^3 convolution of stride 2, upsampling a 2^3 transposed convolution
    of stride 2 or a 1x1x1 convolution and trilinear interpolation, the head a 1x1x1 convolution. ``encoder`` holds a
    stage for each resolution (the last is the bottleneck), ``decoder`` one for each but the lowest, both from full
    resolution down.
    """

    def __init__(self, network: NetworkSpec) -> None:
        super().__init__()
        self.network = network
        widths = network.channels
        steps = list(pairwise(widths))
        kernel = network.kernel_size
        self.stem = nn.Conv3d(network.in_channels, widths[0], kernel, padding=kernel // 2)
        self.encoder = nn.ModuleList(Stage(network, width) for width in widths)
        self.down = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.up = nn.ModuleList(_upsampling(network, coarse, fine) for fine, coarse in steps)
        self.skip = nn.ModuleList(SumSkip() if network.skip == "sum" else ConcatSkip(fine) for fine, _ in steps)
        self.decoder = nn.ModuleList(Stage(network, fine) for fine, _ in steps)
        self.head = nn.Conv3d(widths[0], network.out_channels, 1)

    def stages(self) -> Iterator[Stage]:
        """All stages in the order in which they run."""
        yield from cast("list[Stage]", [*self.encoder, *reversed(list(self.decoder))])

    def use_strategy(self, strategy: str | Strategy) -> None:
        """Run the stages under a strategy, or under that of their resolution; parameters and results stay the same.

        Raises:
            UsageError: the strategy is unknown, or this network cannot run under it.
        """
        chosen = get_strategy(strategy) if isinstance(strategy, str) else strategy
        chosen.check(self.network)
        levels = chosen.levels if isinstance(chosen, Staged) else (chosen,) * self.network.stages
        for stages in (self.encoder, self.decoder):
            for stage, of_level in zip(cast("list[Stage]", list(stages)), levels, strict=False):
                stage.strategy = of_level

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits.

        Raises:
            UsageError: x does not have the network's input channels, or the stages do not divide its volume.
        """
        self._check(x)
        first, *others = {id(stage.strategy): stage.strategy for stage in self.stages()}.values()
        logits = first.run_network(self, x) if isinstance(first, NetworkStrategy) and not others else None
        return self._run_stages(x) if logits is None else logits

    def _run_stages(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        x = self.stem(x)
        for stage, down in zip(self.encoder, self.down, strict=False):
            skips.append(stage(x))
            x = down(skips[-1])
        x = self.encoder[-1](x)
        for up, skip, stage in reversed(list(zip(self.up, self.skip, self.decoder, strict=True))):
            x = skip(up(x), skips.pop())
            x = stage(x)
        return self.head(x)  # type: ignore[no-any-return]

    def _check(self, x: Tensor) -> None:
        network, grid = self.network, self.network.grid
        if x.dim() != 5 or x.shape[1] != network.in_channels:
            raise UsageError(f"the network takes (N, {network.in_channels}, D, H, W), not {tuple(x.shape)}")
        sides = x.shape[2:]
        if any(side < 1 or side % grid for side in sides):
            raise UsageError(f"volume {'x'.join(map(str, sides))} must have sides that are multiples of {grid} voxels")
        # PyTorch refuses to normalise single values, and says so only deep inside the last stage.
        width = network.channels[-1] // (2 if network.coupling == "additive" else 1)
        in_group = {"none": 2, "instance": 1, "group": width // network.norm_groups}[network.norm]
        if in_group * prod(side // grid for side in sides) < 2:
            raise UsageError(f"volume {'x'.join(map(str, sides))} leaves one value to normalise in the last stage")


def _upsampling(network: NetworkSpec, coarse: int, fine: int) -> nn.Module:
    if network.upsampling == "transposed":
        return nn.ConvTranspose3d(coarse, fine, 2, stride=2)
    # A 1x1x1 convolution and interpolation may change places; in this order the large tensors are the narrow ones.
    return nn.Sequential(nn.Conv3d(coarse, fine, 1), nn.Upsample(scale_factor=2, mode="trilinear"))
