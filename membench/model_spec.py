"""The record of a network of the user's own: what makes it, what it is given, and how its loss is computed."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from membench.arguments import fill, fill_text, names_in, write_argument
from membench.errors import UsageError
from membench.units import Volume, format_volume

DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
STRATEGIES = ("plain", "offload")
# Values that every probe has, whatever a model's shapes name beside them.
GIVEN = ("volume", "batch")
_TENSOR = re.compile(r"(?:([A-Za-z_]\w*)=)?(\d+(?:x\d+)*)(?::(\w+))?", re.ASCII)
_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class Tensor(NamedTuple):
    """A tensor that a model is given: by position, or by ``name`` where it has one."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="model", tag_field="kind"):
    """A network that membench does not build itself. Functions are named ``package.module:function``.

    - ``factory`` is called with ``arguments`` and returns the `torch.nn.Module`, which is then moved to the device. One
      that is too large for the host can make it there (``with torch.device("cuda")``).
    - ``inputs`` and ``targets`` are texts such as ``1x4x128x128x128``, ``4x128:int64`` or ``labels=4x128:int64``, the
      last of which is given by name. Float tensors (float32 unless said) are random, all others zeros.
    - ``loss`` is called with the output and the targets and returns a scalar. Without one it is the output's own
      ``loss``, where it has one, and else the sum of the means of all float tensors in the output.
    - ``step``, instead of all these but ``arguments``, has full control of a training step. It is called with the
      `torch.device` and ``arguments``, and returns a callable that runs one training step each time it is called. A
      function that returns None has run one step itself, and is called again for each that is measured.

    In shapes and in texts among the arguments, ``{name}`` stands for a value of ``values``, for the probe's ``batch``,
    or for its ``volume`` (``DxHxW`` in a shape, ``[D, H, W]`` in an argument). Each is an axis that can be searched.
    """

    factory: str = ""
    step: str = ""
    arguments: dict[str, Any] = {}
    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    loss: str = ""
    values: dict[str, int] = {}

    def __hash__(self) -> int:
        return hash(msgspec.json.encode(self, order="deterministic"))

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of all that is to be imported."""
        return tuple(filter(None, (self.factory, self.step, self.loss)))

    @property
    def axes(self) -> tuple[str, ...]:
        """The names that stand in shapes and arguments, in the order in which they first do."""
        return tuple(dict.fromkeys(names_in([self.inputs, self.targets, self.arguments])))

    def validate(self) -> None:
        """Refuse a model that cannot be made, as far as can be told without importing it.

        Raises:
            UsageError: see the message.
        """
        if bool(self.factory) == bool(self.step):
            raise UsageError("name either a model (--model) or a whole training step (--step), as package.module:name")
        for name in self.functions:
            if not _FUNCTION.fullmatch(name):
                raise UsageError(f"{name!r} names no function; write package.module:function")
        if self.step and (self.inputs or self.targets or self.loss):
            raise UsageError("a step of your own makes its inputs, targets and loss itself; leave out those given")
        if self.factory and not self.inputs:
            raise UsageError(f"say what {self.factory} is given, for example --input 1x4x128x128x128")
        if self.targets and not self.loss:
            raise UsageError("targets are for a loss; name it with --loss package.module:function")
        for name, value in self.values.items():
            if name in GIVEN:
                raise UsageError(
                    f"{name} is a setting of the probe; set it with --{name}, in a preset as {name} of [probe]"
                )
            if name not in self.axes:
                raise UsageError(f"{name} is set, but {{{name}}} stands in no shape and no argument")
            if value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        for name in self.axes:
            if name not in (*GIVEN, *self.values):
                raise UsageError(f"{{{name}}} has no value; set it, for example --set {name}=128")
        self.tensors(self.inputs, (1, 1, 1), 1)
        if any(tensor.name for tensor in self.tensors(self.targets, (1, 1, 1), 1)):
            raise UsageError("targets are given to the loss in their order; they have no names")

    @property
    def strategies(self) -> tuple[str, ...]:
        """Those that it can run under, the one that keeps most on the device first."""
        return STRATEGIES[:1] if self.step else STRATEGIES

    def check_strategies(self, names: Sequence[str]) -> None:
        """Refuse strategies that need a network of membench's own.

        Raises:
            UsageError: the message names those that can be had.
        """
        if len(names) != 1 or names[0] not in STRATEGIES:
            raise UsageError(
                f"a model of your own is run as it is: strategy {' or '.join(STRATEGIES)}, not {':'.join(names)}"
            )
        if self.step and names[0] != "plain":
            raise UsageError("a step of your own keeps activations as it likes: strategy plain, and no other")

    def check_size(self, volume: Volume, batch: int, default: Volume) -> None:
        """Refuse a size that nothing would take: one that is not the default, and stands nowhere.

        Raises:
            UsageError: the message names what is to stand in a shape.
        """
        for name, value, usual in (("volume", volume, default), ("batch", batch, 1)):
            if value != usual and name not in self.axes:
                raise UsageError(f"{name} is set, but {{{name}}} stands in no shape and no argument")
        if min(volume) < 1:
            raise UsageError(f"every side of a volume must be at least 1, not {format_volume(volume)}")

    def variant(self, strategy: str) -> str:
        return strategy

    def along(self, axis: str, amount: int) -> "ModelSpec":
        """The same with another value on an axis that is its own."""
        return msgspec.structs.replace(self, values=self.values | {axis: amount})

    def axis_step(self, axis: str) -> int:
        """How far apart the values on an axis are, unless said; networks that halve a volume seldom take more."""
        return 16 if axis == "volume" else 1

    def axis_start(self, axis: str) -> int:
        """What is probed first where nothing is said: the value that is set."""
        return {"volume": 64}.get(axis) or self.values.get(axis, 1)

    def axis_end(self, axis: str, volume: Volume) -> int | None:
        return None

    @property
    def words(self) -> str:
        """``monai.networks.nets:SegResNet(in_channels=4), input 1x4x{volume}``, and its values."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        parts = [f"{self.factory or self.step}({arguments})"]
        parts += [f"input {text}" for text in self.inputs] + [f"target {text}" for text in self.targets]
        parts += [f"loss {self.loss}"] if self.loss else []
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.values.items())])

    @property
    def whole_step(self) -> bool:
        """Whether precision and optimizer are the model's own affair."""
        return bool(self.step)

    def size_words(self, volume: Volume, batch: int) -> str:
        """``monai.networks.nets:SegResNet, 1x4x128x128x128``."""
        filled = {"volume": format_volume(volume), "batch": batch, **self.values}
        inputs = (fill_text(text, filled) for text in self.inputs)
        return ", ".join([self.factory or self.step, *inputs])

    def options(self) -> Iterator[tuple[str, str]]:
        """The options of the command line that make this record."""
        yield from ((name, text) for name, text in (("model", self.factory), ("step", self.step)) if text)
        yield from (("model-arg", write_argument(name, value)) for name, value in self.arguments.items())
        yield from (("input", text) for text in self.inputs)
        yield from (("target", text) for text in self.targets)
        yield from (("loss", text) for text in (self.loss,) if text)
        yield from (("set", f"{name}={value}") for name, value in self.values.items())

    def tensors(self, texts: tuple[str, ...], volume: Volume, batch: int) -> list[Tensor]:
        """Inputs or targets with all values put in.

        Raises:
            UsageError: a text is not a shape, or a dtype is not known.
        """
        filled = {**self.values, "volume": format_volume(volume), "batch": batch}
        return [_tensor(text, filled) for text in texts]

    def keywords(self, volume: Volume, batch: int) -> dict[str, Any]:
        """The arguments with all values put in."""
        filled = {**self.values, "volume": list(volume), "batch": batch}
        return {name: fill(value, filled) for name, value in self.arguments.items()}


def _tensor(text: str, filled: dict[str, Any]) -> Tensor:
    match = _TENSOR.fullmatch(fill_text(text, filled))
    if match is None:
        raise UsageError(
            f"{text!r} is not a shape; write for example 1x4x128x128x128, 4x{{seq}}:int64 or ids=4x8:int64"
        )
    name, shape, dtype = match[1] or "", tuple(map(int, match[2].split("x"))), match[3] or "float32"
    if dtype not in DTYPES:
        raise UsageError(f"{dtype!r} in {text!r} is not a dtype that is made; choose one of {', '.join(DTYPES)}")
    if 0 in shape:
        raise UsageError(f"every side of {text!r} must be at least 1")
    return Tensor(name, shape, dtype)
