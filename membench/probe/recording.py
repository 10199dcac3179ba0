"""What a recorded probe leaves beside PyTorch's own snapshot: which operation made each tensor, where, and for whom."""

from typing import Literal

import msgspec

Phase = Literal["build", "input", "forward", "loss", "backward", "optimizer"]


class Output(msgspec.Struct, frozen=True, array_like=True):
    """A tensor that an operation gave: the device address of its storage, its shape, and its dtype in PyTorch's words."""

    address: int
    shape: tuple[int, ...]
    dtype: str


class Op(msgspec.Struct, frozen=True, array_like=True):
    """One operation of PyTorch's dispatcher.

    ``module`` is the path of the module that it belongs to; in the backward pass, of the module whose forward pass it
    goes back through. ``line`` is the innermost line outside PyTorch, ``file:line (function)``, that asked for it, or
    for the operation of the forward pass that it differentiates. ``gradient`` tells whether it computes gradients of
    activations, and not activations (again). ``step`` counts training steps from 0.
    """

    name: str
    phase: Phase
    step: int
    module: str
    line: str
    gradient: bool
    outputs: tuple[Output, ...]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """After so many ``allocations``, the storage at ``address`` was known to serve as ``category``, by ``name``."""

    allocations: int
    address: int
    category: str
    name: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """The operations that allocated or freed, by the number that the trace's events carry as their user metadata.

    ``measured_from`` is the number of allocations after which the peaks were last reset.
    """

    ops: dict[int, Op]
    marks: tuple[Mark, ...]
    measured_from: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int


def tag(phase: str, module: str, name: str, number: int) -> str:
    """What the events of an operation carry, to be read by people (in PyTorch's viewer) and by `op_number`."""
    return f"{phase} {module} {name} #{number}"


def op_number(tag: str) -> int | None:
    """The number of the operation that an event belongs to; None if it belongs to none."""
    _, mark, number = tag.rpartition("#")
    return int(number) if mark and number.isdecimal() else None
