"""One training step of nnU-Net v2, as its trainer does it: run in the probe's process, under the name of a step.

What is taken from ``nnUNetTrainer`` (version 2.8): the network that the plans name, with deep supervision; autocast to
float16 with a scaled gradient; SGD with Nesterov momentum 0.99 and weight decay; gradients clipped to norm 12; Dice and
cross-entropy on every resolution but the lowest, of which weights halve; targets in 16-bit integers, brought from the
host in each step. Not taken is ``torch.compile``, which nnU-Net uses unless ``nnUNet_compile=f`` is set.
"""

import pydoc
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import floordiv, mul
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from membench.errors import UsageError
from membench.nnunet.plans import Architecture, Configuration

WEIGHT_DECAY = 3e-5
RATE = 1e-2


def training(
    device: torch.device,
    *,
    configuration: dict[str, Any],
    channels: int,
    outputs: int,
    regions: bool,
    units: int,
    batch: int,
) -> Callable[[], None]:
    """Make the network of a `Configuration`, and return the function that trains it for one step.

    Raises:
        UsageError: the class of the network is not installed.
    """
    plan = msgspec.convert(configuration, Configuration)
    network = build_network(plan.architecture, channels, outputs).to(device)
    optimizer = torch.optim.SGD(network.parameters(), RATE, weight_decay=WEIGHT_DECAY, momentum=0.99, nesterov=True)
    scaler = torch.amp.GradScaler("cuda")
    image = torch.zeros(batch, channels, *plan.patch_of(units))
    labels = [_target(batch, outputs if regions else 0, shape) for shape in supervised(plan, units)]
    loss_of = Loss(batch_dice=plan.batch_dice, regions=regions)

    def step() -> None:
        data = image.to(device, non_blocking=True)
        target = [labels_here.to(device, non_blocking=True) for labels_here in labels]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda"):
            output = network(data)
            loss = loss_of(output, target)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
        loss.detach().cpu()

    return step


def build_network(architecture: Architecture, channels: int, outputs: int) -> nn.Module:
    """The network that the plans name, with deep supervision.

    Raises:
        UsageError: its class, or a class that it is made of, is not installed.
    """
    arguments = dict(architecture.arch_kwargs)
    for name in architecture.imported:
        if arguments.get(name) is not None:
            arguments[name] = _located(arguments[name])
    made = _located(architecture.network_class_name)(
        input_channels=channels, num_classes=outputs, **{**arguments, "deep_supervision": True}
    )
    assert isinstance(made, nn.Module)
    return made


def supervised(plan: Configuration, units: int) -> list[list[int]]:
    """The shapes of the outputs, from the patch down; the lowest resolution has none."""
    strides = plan.architecture.arch_kwargs["strides"]
    reached = accumulate(strides, lambda before, stride: list(map(mul, before, stride)))
    shapes = [list(map(floordiv, plan.patch_of(units), divisors)) for divisors in reached]
    return shapes[:-1]


class Loss:
    """Soft Dice and cross-entropy on each output; weights halve with each resolution, and the last has none.

    Labels exclude each other (softmax; Dice without the background), or are overlapping ``regions`` (sigmoid). It
    allocates what ``DC_and_CE_loss`` and ``DC_and_BCE_loss`` of nnU-Net do; a test compares the bytes.
    """

    def __init__(self, *, batch_dice: bool, regions: bool) -> None:
        self.batch_dice, self.regions = batch_dice, regions

    def __call__(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        weights = [1 / 2**level for level in range(max(1, len(outputs) - 1))]
        losses = (self._level(*level) for level in zip(outputs, targets, strict=True))
        # The weights end first, so that the last output is never looked at.
        return torch.as_tensor(sum(weight / sum(weights) * loss for weight, loss in zip(weights, losses, strict=False)))

    def _level(self, output: Tensor, target: Tensor) -> Tensor:
        dice = self._dice(output, target)
        if self.regions:
            return nn.functional.binary_cross_entropy_with_logits(output, target.float()) + dice
        return nn.functional.cross_entropy(output, target[:, 0].long()) + dice

    def _dice(self, output: Tensor, target: Tensor) -> Tensor:
        """Minus the soft Dice of Drozdzal et al. (2016) with sums of its own in float32, as nnU-Net has it."""
        space = tuple(range(2, output.dim()))
        likely = output.sigmoid() if self.regions else output.softmax(1)
        with torch.no_grad():
            if self.regions:
                truth = target.to(torch.float32)
            else:
                truth = torch.zeros(likely.shape, device=likely.device, dtype=torch.float32)
                truth.scatter_(1, target.long(), 1)
                truth = truth[:, 1:]
            there = truth.sum(space, dtype=torch.float32)
        likely = likely if self.regions else likely[:, 1:]
        both = (likely * truth).sum(space, dtype=torch.float32)
        said = likely.sum(space, dtype=torch.float32)
        if self.batch_dice:
            both, said, there = both.sum(0), said.sum(0), there.sum(0)
        return -((2 * both + 1e-5) / (there + said + 1e-5).clamp_min(1e-8)).mean()


def _target(batch: int, regions: int, shape: Sequence[int]) -> Tensor:
    return torch.zeros(batch, regions or 1, *shape, dtype=torch.bool if regions else torch.int16)


def _located(name: str) -> Any:
    found = pydoc.locate(name)
    if found is None:
        package = name.split(".")[0].replace("_", "-")
        raise UsageError(f"the plans name {name}, which is not installed (pip install {package})")
    return found
