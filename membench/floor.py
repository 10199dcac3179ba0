"""The floor: the least that any exact training step of a network must hold at one time, whatever its strategy."""

from collections.abc import Iterator
from math import prod

import msgspec

from membench.spec import NetworkSpec, ProbeSpec

FLOAT32 = 4
# Copies of the parameters that an optimizer keeps; the probe's SGD has momentum.
OPTIMIZER_STATES = {
    **{"adam": 2, "adamw": 2, "nadam": 2, "radam": 2, "adamax": 2, "adadelta": 2},
    **{"sgd": 1, "adagrad": 1, "rmsprop": 1},
}


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the floor in bytes, at the moment when their sum is largest. See `floor_bytes` for what they are.

    ``stage`` is the encoder stage, from 1, that is being differentiated then; 0 is the optimizer's step.
    """

    stage: int
    parameters: int
    gradients: int
    optimizer_state: int
    input: int
    target: int
    state: int = 0
    state_gradients: int = 0
    operation: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in self.__struct_fields__ if name != "stage")


def floor_bytes(probe: ProbeSpec) -> Floor:
    """The least that any training step must hold that computes this network's gradients exactly.

    *Any* means: however much it computes again, in whatever order. A step may drop every activation and rebuild it, by
    inverses or by running the network from its input as often as it likes. What it does not do is cut the volume
    (norms join all voxels), take anything off the device, or go back through the network more than once.

    Whatever the strategy, these are held from the second step on: parameters and optimizer state, in float32; the input
    (float32) and the target (a byte a value), which are the caller's. Gradients of parameters are there from the
    backward pass through their layer until the optimizer's step.

    Consider the backward pass when it arrives at the first block of encoder stage s; C channels, V voxels there.

    - ``state_gradients``: the gradient of the block's output is there, C x V values in float32 (what flows past blocks
      is float32 under autocast too). So are those of the skips of finer stages, C' x V' each: they came down the
      decoder, and nothing but another backward pass would give them again.
    - ``state``: differentiating the coupling's second function takes its input, y1, and the first one's takes x2. Where
      both were kept these are C x V values, in the dtype that convolutions compute in. A step that inverts couplings
      holds y1 and y2. One that runs forward again makes y1 = x1 + F(x2) out of both halves. In each case C x V values
      are there at one time beside the gradient. (An uncoupled block x + F(x) needs the whole of x.)
    - States of *other* stages are not counted. A step that does not run the network again from its input holds them:
      with summed skips one for each stage, since each has gone into the next by a convolution that has no inverse. It
      could do without.
    - ``operation``: the widest single operation reads one channel and writes another, which cannot be in place, since
      a k^3 convolution reads neighbours: 2 x V values. Every operation of the network can be cut down to that.
    - ``gradients``: of all parameters but those of the stem, of finer encoder stages and what leads down from them, and
      of this block.

    The floor is the largest of these moments and of the optimizer's step. Most often it is at full resolution, where
    with float32 it comes to (2 C + 2) x V values. Allocators round up, libraries want workspace: neither is in it.

    Raises:
        UsageError: the probe is not valid, or its network is not one of membench's own.
    """
    probe.validate()
    return max(_moments(probe), key=lambda moment: moment.total)


def known_floor(probe: ProbeSpec) -> int | None:
    """The sum of `floor_bytes`; None for a model of the user's, of whose operations nothing is known."""
    return floor_bytes(probe).total if isinstance(probe.network, NetworkSpec) else None


def _moments(probe: ProbeSpec) -> Iterator[Floor]:
    network, voxels = probe.unet, probe.batch * prod(probe.volume)
    everything = parameters(network)
    always = Floor(
        stage=0,
        parameters=everything * FLOAT32,
        gradients=everything * FLOAT32,
        optimizer_state=OPTIMIZER_STATES[probe.optimizer] * everything * FLOAT32,
        input=network.in_channels * voxels * FLOAT32,
        target=network.out_channels * voxels,
    )
    yield always
    compute = FLOAT32 if probe.precision == "fp32" else 2
    pending, finer = _stem(network), 0
    for stage, channels in enumerate(network.channels):
        block, voxels_here = _block(network, channels), voxels // 8**stage
        yield msgspec.structs.replace(
            always,
            stage=stage + 1,
            gradients=(everything - pending - block) * FLOAT32,
            state=channels * voxels_here * compute,
            state_gradients=finer + channels * voxels_here * FLOAT32,
            operation=2 * voxels_here * compute,
        )
        finer += channels * voxels_here * FLOAT32
        pending += network.blocks * block
        if stage + 1 < network.stages:
            pending += _convolution(channels, network.channels[stage + 1], 2)


def parameters(network: NetworkSpec) -> int:
    """Count the network's parameters from its record alone, as `membench.models.parameter_count` does by building it.

    Raises:
        UsageError: the network cannot be built.
    """
    network.validate()
    widths = network.channels
    count = _stem(network) + _convolution(widths[0], network.out_channels, 1)
    for stage, channels in enumerate(widths):
        decoded = stage + 1 < network.stages
        count += network.blocks * _block(network, channels) * (2 if decoded else 1)
        if decoded:
            coarse = widths[stage + 1]
            count += _convolution(channels, coarse, 2)
            count += _convolution(coarse, channels, 2 if network.upsampling == "transposed" else 1)
            count += _convolution(2 * channels, channels, 1) if network.skip == "concat" else 0
    return count


def _stem(network: NetworkSpec) -> int:
    return _convolution(network.in_channels, network.channels[0], network.kernel_size)


def _block(network: NetworkSpec, channels: int) -> int:
    return 2 * _function(network, channels // 2) if network.coupling == "additive" else _function(network, channels)


def _function(network: NetworkSpec, channels: int) -> int:
    kernel, normed = network.kernel_size, network.norm != "none"
    offsets = 2 if normed else 1  # a norm's scale and shift for each channel, else the convolution's own bias
    if network.block == "conv":
        return 2 * (channels * channels * kernel**3 + offsets * channels)
    hidden = channels * network.expansion
    squeezed = max(1, channels // 4)
    excitation = _convolution(hidden, squeezed, 1) + _convolution(squeezed, hidden, 1)
    weights = 2 * channels * hidden + hidden * kernel**3
    return weights + offsets * (2 * hidden + channels) + (excitation if network.squeeze_excitation else 0)


def _convolution(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution with bias; transposed or not."""
    return inputs * outputs * kernel**3 + outputs
