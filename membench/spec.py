"""Frozen records of what to run: a network, and one probe (training steps of it on a device under a budget)."""

import hashlib
from typing import Literal

import msgspec

from membench.errors import UsageError
from membench.model_spec import ModelSpec
from membench.network_spec import AxisName, Coupling, NetworkSpec
from membench.units import Volume

__all__ = [
    "AUTO",
    "AxisName",
    "Coupling",
    "ModelSpec",
    "NetworkSpec",
    "Optimizer",
    "OptimizerImplementation",
    "Precision",
    "ProbeSpec",
    "SearchSpec",
    "Volume",
]

Precision = Literal["fp32", "bf16", "fp16"]
Optimizer = Literal["adam", "adamw", "sgd", "nadam", "radam", "adamax", "adagrad", "adadelta", "rmsprop"]
OptimizerImplementation = Literal["foreach", "for-loop", "fused"]
# The strategy of a probe that is to have the cheapest one that fits; `membench.recommend` puts a real one in its place.
AUTO = "auto"
# The optimizers of which PyTorch has a fused implementation on CUDA.
FUSED = ("adam", "adamw", "sgd")
DEFAULT_VOLUME = (128, 128, 128)
_USUAL_STEP = ("fp32", "adam", "foreach")


class ProbeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``steps`` full training steps of a network on a device, with the caching allocator limited to ``budget`` bytes.

    The network is one of membench's own, or a model of the user's, which takes ``volume`` and ``batch`` where it names
    them, and whose strategy is ``plain`` or ``offload``.

    ``device`` is the catalog name of an emulated card, or ``cuda`` (``cuda:N``) for a real one. ``budget`` None is
    all that a process may allocate on the device. ``allocator`` is PyTorch's own settings string
    (``expandable_segments:True``). ``tf32`` None leaves PyTorch's defaults. ``strategy`` is one name, or one for each
    stage from full resolution down, joined by colons. ``slices`` is for strategies that run a function in slices of
    its hidden channels; None has them choose.
    """

    network: NetworkSpec | ModelSpec = NetworkSpec()
    volume: Volume = DEFAULT_VOLUME
    batch: int = 1
    strategy: str = "reversible"
    slices: int | None = None
    precision: Precision = "fp32"
    tf32: bool | None = None
    optimizer: Optimizer = "adam"
    optimizer_implementation: OptimizerImplementation = "foreach"
    steps: int = 2
    device: str = "a100-40gb"
    budget: int | None = None
    allocator: str = ""
    timeout: float = 300.0

    def validate(self) -> None:
        """Refuse a probe that cannot be run, before anything is started.

        Raises:
            UsageError: see the message; also everything that `NetworkSpec.validate` refuses.
        """
        self.network.validate()
        self.network.check_strategies(self.strategy.split(":"))
        if self.network.whole_step and (self.precision, self.optimizer, self.optimizer_implementation) != _USUAL_STEP:
            raise UsageError("a step of your own has its own precision and optimizer; leave out those given")
        if self.optimizer_implementation == "fused" and self.optimizer not in FUSED:
            raise UsageError(f"PyTorch has no fused {self.optimizer}; fused are {', '.join(FUSED)}")
        if self.slices is not None and self.slices < 1:
            raise UsageError(f"slices must be at least 1, not {self.slices}")
        if self.steps < 2:
            raise UsageError(
                f"steps must be at least 2, so that optimizer state and reuse are measured, not {self.steps}"
            )
        if self.batch < 1:
            raise UsageError(f"batch must be at least 1, not {self.batch}")
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"budget must be positive, not {self.budget} bytes")
        if not 0.0 < self.timeout <= 1e8:
            raise UsageError(f"timeout must be positive and at most 1e8 seconds, not {self.timeout:g}")
        self.network.check_size(self.volume, self.batch, DEFAULT_VOLUME)

    @property
    def unet(self) -> NetworkSpec:
        """The network, which has to be one of membench's own.

        Raises:
            UsageError: it is a model of the user's.
        """
        if isinstance(self.network, NetworkSpec):
            return self.network
        raise UsageError("this is for membench's own networks; a model of your own can be measured and searched")

    @property
    def variant(self) -> str:
        """What is compared on one axis; see the network's."""
        return self.network.variant(self.strategy)

    def key(self) -> str:
        """A digest that is the same exactly for the same probe: results are looked up by it."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


class SearchSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Find the largest value on ``axis`` for which ``probe``, with that value put in, fits.

    ``axis`` is an `AxisName`, or a name in the shapes and arguments of a model of the user's.
    ``ratio`` is the shape D:H:W of the volumes on the ``volume`` axis; each side is rounded up to the network's grid.
    ``limit`` is the largest extent tried (voxels of the longest side, stages, blocks, channels, batch); None is the
    axis's own end. ``start`` is the extent probed first. Values are multiples of ``multiple``; None leaves the step to
    the network.
    """

    axis: str
    probe: ProbeSpec
    ratio: tuple[int, int, int] = (1, 1, 1)
    start: int | None = None
    limit: int | None = None
    multiple: int | None = None
