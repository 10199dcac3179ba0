"""The record of a training: what is trained, on what part of the data, and how."""

import hashlib
from typing import Literal

import msgspec

from membench.errors import UsageError
from membench.spec import AUTO, FUSED, NetworkSpec, Optimizer, OptimizerImplementation, Precision, Volume
from membench.units import format_volume

Loss = Literal["monai-dice-bce", "monai-dice", "dice-bce-slabs"]
Parallel = Literal["ddp", "fsdp2"]


class TrainSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training a network on BraTS under a memory strategy.

    ``patch`` is the volume cut from a case for each sample; None takes the whole volume, rounded up to the network's
    grid. A step takes ``batch`` samples ``accumulate`` times before the weights change, and on each rank. The learning
    rate falls from ``learning_rate`` to 0 along half a cosine over all ``steps``; Adam's is 1e-4 in Myronenko's and
    MONAI's trainings on BraTS (arXiv 1810.11654; monai-tutorials, brats_segmentation_3d). ``held_out`` is the part of
    the cases that are never trained on; they are evaluated every ``evaluate_every`` steps (0: at the end alone), by
    windows that overlap by ``overlap``. ``parallel`` is what holds several ranks together. A checkpoint is written
    every ``checkpoint_every`` steps, and each minute. ``seed`` decides the initial weights, the split, the order and
    the augmentation; the strategy has no say in any of them.
    """

    network: NetworkSpec = NetworkSpec()
    strategy: str = "reversible"
    slices: int | None = None
    patch: Volume | None = (128, 128, 128)
    batch: int = 1
    accumulate: int = 1
    steps: int = 1000
    precision: Precision = "fp32"
    loss: Loss = "monai-dice-bce"
    optimizer: Optimizer = "adam"
    optimizer_implementation: OptimizerImplementation = "foreach"
    learning_rate: float = 1e-4
    held_out: float = 0.2
    overlap: float = 0.5
    evaluate_every: int = 0
    checkpoint_every: int = 100
    augment: bool = True
    parallel: Parallel = "ddp"
    seed: int = 0

    def validate(self) -> None:
        """Refuse a training that cannot be run, before anything is read.

        Raises:
            UsageError: see the message; also everything that `NetworkSpec.validate` refuses.
        """
        self.network.validate()
        if self.strategy == AUTO:
            raise UsageError("strategy auto is not trained with; membench recommend names the one that fits")
        self.network.check_strategies(self.strategy.split(":"))
        for name, least in (("batch", 1), ("accumulate", 1), ("steps", 1), ("evaluate_every", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name.replace('_', ' ')} must be at least {least}, not {getattr(self, name)}")
        if self.checkpoint_every < 1:
            raise UsageError(f"checkpoint every must be at least 1, not {self.checkpoint_every}")
        for name in ("held_out", "overlap"):
            if not 0.0 <= getattr(self, name) < 1.0:
                value = f"{getattr(self, name):g}"
                raise UsageError(f"{name.replace('_', ' ')} must be at least 0 and less than 1, not {value}")
        if self.optimizer_implementation == "fused" and self.optimizer not in FUSED:
            raise UsageError(f"PyTorch has no fused {self.optimizer}; fused are {', '.join(FUSED)}")
        if (self.parallel, self.optimizer, self.optimizer_implementation) == ("fsdp2", "sgd", "fused"):
            raise UsageError("PyTorch's fused sgd does not take the sharded parameters of fsdp2; choose foreach")
        if not 0.0 < self.learning_rate < 1e6:
            raise UsageError(f"learning rate must be positive, not {self.learning_rate:g}")
        if self.network.in_channels != 4 or self.network.out_channels != 3:
            raise UsageError("BraTS has 4 modalities and 3 regions; leave out in channels and out channels")
        grid = self.network.grid
        if self.patch and any(side % grid for side in self.patch):
            raise UsageError(
                f"patch {format_volume(self.patch)} does not divide: {self.network.stages} stages "
                f"need every side to be a multiple of {grid} voxels"
            )

    def key(self) -> str:
        """A digest that is the same exactly for the same training."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]
