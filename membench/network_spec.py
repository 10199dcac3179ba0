"""The record of a network of membench's own."""

import math
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from membench.errors import UsageError
from membench.units import Volume, format_volume

BlockKind = Literal["mbconv", "conv"]
Coupling = Literal["additive", "none"]
Norm = Literal["group", "instance", "none"]
Upsampling = Literal["transposed", "trilinear"]
Skip = Literal["sum", "concat"]
AxisName = Literal["volume", "stages", "blocks", "channels", "batch"]
# Probed first when a search names no start: small enough to fit usually, since only a fitting probe has a peak.
STARTS: dict[str, int] = {"volume": 64, "stages": 4, "blocks": 4, "channels": 32, "batch": 1}


class NetworkSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="unet", tag_field="kind"):
    """A 3-D U-Net.

    Stage ``s`` (from 0) has ``min(base_channels * channel_multiplier**s, max_channels)`` channels at ``1 / 2**s``
    of the input's resolution, and ``blocks`` blocks in the encoder and again in the decoder (the last stage is the
    bottleneck and has them once). With ``coupling="additive"`` each block couples two half-channel functions;
    ``"none"`` is the ordinary residual block ``x + F(x)`` at full width.
    """

    in_channels: int = 4
    out_channels: int = 3
    base_channels: int = 32
    stages: int = 4
    blocks: int = 2
    channel_multiplier: float = 2.0
    max_channels: int | None = None
    block: BlockKind = "mbconv"
    expansion: int = 6
    kernel_size: int = 3
    squeeze_excitation: bool = False
    coupling: Coupling = "additive"
    norm: Norm = "group"
    norm_groups: int = 8
    upsampling: Upsampling = "transposed"
    skip: Skip = "sum"
    dropout: float = 0.0

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage, from full resolution down."""
        wanted = (round(self.base_channels * self.channel_multiplier**stage) for stage in range(self.stages))
        return tuple(min(width, self.max_channels) if self.max_channels else width for width in wanted)

    @property
    def grid(self) -> int:
        """Every side of the volume must be a multiple of this number of voxels."""
        return 1 << (self.stages - 1)

    def validate(self) -> None:
        """Refuse a network that cannot be built.

        Raises:
            UsageError: a count is not positive, the kernel is even, or the groups do not divide the channels.
        """
        for name in ("in_channels", "out_channels", "base_channels", "stages", "blocks", "expansion", "norm_groups"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}")
        if self.stages > 12:
            raise UsageError(
                f"{self.stages} stages would halve the volume {self.stages - 1} times; at most 12 are built"
            )
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise UsageError(f"kernel size must be odd, not {self.kernel_size}")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"dropout must be at least 0 and less than 1, not {self.dropout}")
        if not 1.0 <= self.channel_multiplier <= 16.0:
            raise UsageError(f"channel multiplier must be at least 1 and at most 16, not {self.channel_multiplier:g}")
        if self.max_channels is not None and self.max_channels < 1:
            raise UsageError(f"max channels must be at least 1, not {self.max_channels}")
        self._validate_groups()

    def check_strategies(self, names: Sequence[object]) -> None:
        """Refuse a list of strategies that is neither one for all stages nor one for each.

        Raises:
            UsageError: the message names how many stages there are.
        """
        if len(names) not in (1, self.stages):
            raise UsageError(
                f"{len(names)} strategies for {self.stages} stages; name one for all stages, or one for each, "
                "from full resolution down, such as plain:reversible"
            )

    def check_size(self, volume: Volume, batch: int, default: Volume) -> None:
        """Refuse a volume that cannot be halved from stage to stage.

        Raises:
            UsageError: the message names the number that must divide every side.
        """
        if any(side < 1 or side % self.grid for side in volume):
            raise UsageError(
                f"volume {format_volume(volume)} does not divide: {self.stages} stages "
                f"need every side to be a multiple of {self.grid} voxels"
            )

    def variant(self, strategy: str) -> str:
        """What is compared on one axis: the strategy, marked when the blocks are not coupled."""
        return strategy if self.coupling == "additive" else f"{strategy} (uncoupled)"

    def along(self, axis: str, amount: int) -> "NetworkSpec":
        """The same with another value on an axis that is its own."""
        return msgspec.structs.replace(self, **{{"channels": "base_channels"}.get(axis, axis): amount})

    def axis_step(self, axis: str) -> int:
        """How far apart the values on an axis are that can be run.

        Raises:
            UsageError: no base channels divide as they must.
        """
        return self._channel_step() if axis == "channels" else self.grid if axis == "volume" else 1

    def axis_start(self, axis: str) -> int:
        return STARTS[axis]

    def axis_end(self, axis: str, volume: Volume) -> int | None:
        """Where an axis ends by itself; None where it does not."""
        if axis == "stages":
            sides = math.gcd(*volume)
            return (sides & -sides).bit_length()
        return self.max_channels if axis == "channels" else None

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of all that is to be imported: nothing."""
        return ()

    @property
    def axes(self) -> tuple[str, ...]:
        return typing.get_args(AxisName)

    @property
    def words(self) -> str:
        """``mbconv ×6, 4 stages × 2 blocks, 32-64-128-256 channels, coupled``."""
        block = f"mbconv ×{self.expansion}" if self.block == "mbconv" else self.block
        shape = f"{self.stages} stages × {self.blocks} blocks"
        channels = "-".join(map(str, self.channels)) + " channels"
        extras = [
            "squeeze-excitation" if self.squeeze_excitation else "",
            f"dropout {self.dropout:g}" if self.dropout else "",
            "coupled" if self.coupling == "additive" else "uncoupled",
        ]
        return ", ".join(word for word in (block, shape, channels, *extras) if word)

    @property
    def whole_step(self) -> bool:
        """Whether precision and optimizer are the network's own affair."""
        return False

    def size_words(self, volume: Volume, batch: int) -> str:
        """``128x128x128 voxels``."""
        return f"{format_volume(volume)} voxels"

    def options(self) -> Iterator[tuple[str, Any]]:
        """The options of the command line that make this record, where they are not at their default."""
        for field in msgspec.structs.fields(self):
            if getattr(self, field.name) != field.default:
                yield field.name.replace("_", "-"), getattr(self, field.name)

    def _channel_step(self) -> int:
        """The step at which both halves of every stage divide into norm groups, coupled or not: one step for both."""
        groups = 2 * (self.norm_groups if self.norm == "group" else 1)
        for step in range(groups, 64 * groups + 1, groups):
            if all(step * self.channel_multiplier**stage % groups == 0 for stage in range(self.stages)):
                return step
        raise UsageError(
            f"channel multiplier {self.channel_multiplier:g} over {self.stages} stages leaves no base channels "
            f"that {groups} divides in every stage"
        )

    def _validate_groups(self) -> None:
        parts = 2 if self.coupling == "additive" else 1
        groups = self.norm_groups if self.norm == "group" else 1
        for stage, width in enumerate(self.channels):
            if width % (parts * groups):
                halves = "the two halves of " if parts == 2 else ""
                raise UsageError(
                    f"{groups} norm groups do not divide {halves}the {width} channels of stage {stage + 1}; "
                    f"the channels must be a multiple of {parts * groups}"
                )
