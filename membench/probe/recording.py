"""What a recorded probe leaves beside PyTorch's own snapshot: which operation made each tensor, where, and for whom."""

from typing import Literal, NamedTuple, get_args

import msgspec

from membench.result import Measurement

Phase = Literal["build", "input", "forward", "loss", "backward", "optimizer"]
Category = Literal["parameter", "gradient", "optimizer state", "activation", "workspace", "input", "other"]
_PHASES: dict[str, Phase] = {phase: phase for phase in get_args(Phase)}


class Output(msgspec.Struct, frozen=True, array_like=True):
    """A tensor that an operation gave: the address of its storage on the device, its shape, and its dtype by name."""

    address: int
    shape: tuple[int, ...]
    dtype: str


class Op(msgspec.Struct, frozen=True, array_like=True):
    """One operation of PyTorch's dispatcher.

    ``module`` is the path of the module that it belongs to; in the backward pass, of the module whose forward pass it
    goes back through. ``line`` is the innermost line outside PyTorch, ``file:line (function)``, that asked for it, or
    for the operation of the forward pass that it differentiates. ``gradient`` tells whether it computes gradients, and
    not activations (again). ``step`` counts training steps from 0.
    """

    name: str
    phase: Phase
    step: int
    module: str
    line: str
    gradient: bool
    outputs: tuple[Output, ...]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """After so many ``allocations``, the storage at ``address`` was known to be this: a tensor of ``module``'s."""

    allocations: int
    address: int
    category: Category
    name: str = ""
    module: str = ""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """The operations that allocated or freed, by the number that the trace's events carry as their user metadata.

    ``measured_from`` is the number of allocations after which the peaks of the measurement were last reset.
    """

    measurement: Measurement
    ops: dict[int, Op]
    marks: tuple[Mark, ...]
    measured_from: int


def tag(phase: str, module: str, name: str, number: int) -> str:
    """What the events of an operation carry, to be read by people (in PyTorch's viewer) and by `op_number`."""
    return f"{phase} {module} {name} #{number}"


def op_number(tag: str) -> int | None:
    """The number of the operation that an event belongs to; None if it belongs to none."""
    _, mark, number = tag.rpartition("#")
    return int(number) if mark and number.isdecimal() else None


class Tagged(NamedTuple):
    """What a tag tells; of a tag that is not ours, nothing."""

    phase: Phase | None = None
    module: str = ""
    op: str = ""


def read_tag(tag: str) -> Tagged:
    """The parts of a tag, which others may have written otherwise."""
    phase, _, rest = tag.partition(" ")
    module, _, name = rest.partition(" ")
    return Tagged(_PHASES[phase], module, name.partition(" ")[0]) if phase in _PHASES else Tagged()
