"""Frozen records of who holds the peak."""

import msgspec

from membench.html import card, table
from membench.probe.recording import Category, Phase
from membench.result import Measurement
from membench.units import format_bytes

# In the order in which they are told everywhere.
CATEGORIES: tuple[Category, ...] = (
    *("parameter", "gradient", "optimizer state", "activation", "workspace", "input", "other"),
)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A block that is in use: ``bytes`` is what the allocator counts, ``requested_bytes`` what was asked for.

    ``what`` says in words what it is, within its category; ``name`` is the tensor's, where it has one. ``module``,
    ``phase``, ``step`` and ``op`` are of the operation that made it (of parameters, gradients of parameters and
    optimizer states: the module that owns the parameter), ``line`` the user's line of code behind it,
    ``file:line (function)``. What is not known is empty, and a ``shape`` None.
    """

    bytes: int
    requested_bytes: int
    category: Category
    what: str
    name: str = ""
    module: str = ""
    phase: Phase | None = None
    step: int | None = None
    op: str = ""
    line: str = ""
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    address: int = 0
    stack: tuple[str, ...] = ()


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What one module holds in one category by one line of code: how much, in how many blocks."""

    category: Category
    module: str
    line: str
    bytes: int
    count: int


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A category, told apart by what its blocks are in words."""

    category: Category
    what: str
    bytes: int
    count: int


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of the training: after event ``event``, in this step (from 0), phase, module, operation and line."""

    event: int
    phase: Phase | None
    step: int | None
    module: str
    op: str
    line: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The request that ended the probe, out of memory: where it was made, and what was held at that moment."""

    asked_bytes: int
    allocated_bytes: int
    reserved_bytes: int
    at: Moment


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Neighbouring blocks of one category, in bytes from their segment's start. ``category`` None: nobody uses them."""

    offset: int
    bytes: int
    category: Category | None


class SegmentMap(msgspec.Struct, frozen=True, kw_only=True):
    """What the allocator holds from the device in one piece, and who uses it."""

    address: int
    bytes: int
    allocated_bytes: int
    blocks: tuple[Block, ...]


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """The most that was allocated, and what it was. The categories, the kinds and the holders each add up to it.

    ``reserved_bytes`` is what the allocator held from the device at that moment; the difference is fragmentation.
    """

    allocated_bytes: int
    reserved_bytes: int
    requested_bytes: int
    phase: Phase | None
    module: str
    at: Moment
    categories: dict[str, int]
    kinds: tuple[Kind, ...]
    modules: dict[str, int]
    holders: tuple[Holder, ...]
    largest: tuple[Held, ...]
    segments: tuple[SegmentMap, ...]

    @property
    def fragmentation_bytes(self) -> int:
        return self.reserved_bytes - self.allocated_bytes


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, in the words of the command line, the holder that it is against, and what it was measured to save.

    What is saved is in bytes of the peak allocated and of the peak reserved, negative where it made things worse, and
    None where the probe with it did not end its steps. ``same_training`` tells whether it computes the same, up to
    rounding.
    """

    setting: str
    against: str
    same_training: bool
    measurement: Measurement
    saved_allocated_bytes: int | None
    saved_reserved_bytes: int | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the peak of a recorded probe; of a snapshot from elsewhere, where ``measurement`` is None.

    ``exact``: the history is whole, and the peak is the allocator's own to the byte. ``notes`` are sentences that a
    reader must know. ``phases`` is the most that was allocated in each phase of the peak's step. ``remedies`` are empty
    where none were tried.
    """

    measurement: Measurement | None
    peak: Peak
    phases: dict[str, int]
    refused: Refused | None = None
    remedies: tuple[Remedy, ...] = ()
    exact: bool = True
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """What a notebook shows: the peak, what it was by category, and the largest tensors."""
        peak = self.peak
        facts = [
            ("Peak allocated", f"{format_bytes(peak.allocated_bytes)} ({peak.allocated_bytes:,} bytes)"),
            ("Reserved then", format_bytes(peak.reserved_bytes)),
            ("Phase", peak.phase or ""),
            ("Module", peak.module),
            *(("Note", note) for note in self.notes),
        ]
        kinds = ((name, format_bytes(count), f"{count:,}") for name, count in peak.categories.items())
        largest = (
            (held.name or held.what, format_bytes(held.bytes), _shape(held), held.module, held.line)
            for held in peak.largest
        )
        return card(
            "Who holds the peak",
            facts,
            table(("Category", "Size", "Bytes"), kinds),
            table(("Largest", "Size", "Shape", "Module", "Line"), largest),
        )


def _shape(held: Held) -> str:
    return "" if held.shape is None else f"{'×'.join(map(str, held.shape))} {held.dtype}"
