"""Reading the allocator histories that PyTorch records (``torch.cuda.memory._dump_snapshot``), without PyTorch.

Such a file is a pickle, and a pickle may name code that is run when it is read. A snapshot needs none: it is lists,
dictionaries, numbers and texts. So it is read by an unpickler that knows nothing else, and a file that names anything
more is refused. Files of every PyTorch since 2.1 are understood; what a release does not write has its default here.
"""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import msgspec

from membench.errors import MembenchError

_OF_LINUX = 1 << 40  # what a process gets from Linux lies far above, unless it asks


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the code. ``line`` is 0 for native code whose line is not known."""

    filename: str
    line: int
    name: str

    @property
    def is_python(self) -> bool:
        return self.filename.endswith(".py") or self.filename.startswith("<")

    @property
    def is_library(self) -> bool:
        """Whether the file belongs to PyTorch, to another installed package, or to Python itself."""
        parts = self.filename.replace("\\", "/").split("/")
        return not {"site-packages", "dist-packages"}.isdisjoint(parts) or any(
            part.startswith("python3.") for part in parts[:-1]
        )

    def __str__(self) -> str:
        return f"{self.filename}:{self.line} ({self.name})"


class Stack:
    """The calls that led to an event, the innermost first; empty where the recording has none."""

    __slots__ = ("frames",)

    def __init__(self, frames: tuple[Frame, ...] = ()) -> None:
        self.frames = frames

    @property
    def cause(self) -> Frame | None:
        """The line of code behind the event: the innermost outside installed packages, else the innermost Python."""
        python = [frame for frame in self.frames if frame.is_python]
        own = (frame for frame in python if not frame.is_library)
        return next(own, python[0] if python else None)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the allocator's history. ``size`` in bytes, as asked for where ``action`` is ``alloc`` or a free.

    ``action`` is ``alloc``, ``free_requested``, ``free_completed``, ``segment_alloc``, ``segment_free``,
    ``segment_map``, ``segment_unmap`` (the two of expandable segments), ``oom``, or what a later release adds.
    ``addr`` is a device address (0 where the entry has none, as an ``oom``), ``stream`` a handle that is the same for
    the same stream within a recording, ``time_us`` microseconds since 1970. ``device_free`` is given by an ``oom``.
    ``user_metadata`` is what the recorder set for events to carry (``torch.cuda.memory._set_memory_metadata``).
    """

    action: str
    size: int = 0
    addr: int = 0
    stream: int = 0
    time_us: int = 0
    device_free: int | None = None
    user_metadata: str = ""
    frames: Stack = msgspec.field(default_factory=Stack)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a segment when the snapshot was taken. ``state`` is ``active_allocated``, ``inactive``, …"""

    size: int
    state: str
    address: int = 0
    requested_size: int = 0
    frames: Stack = msgspec.field(default_factory=Stack)

    @property
    def is_allocated(self) -> bool:
        return self.state == "active_allocated"


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that the allocator holds from the device, in bytes, as it was when the snapshot was taken."""

    total_size: int
    blocks: tuple[Block, ...]
    address: int = 0
    device: int = 0
    allocated_size: int = 0
    active_size: int = 0
    requested_size: int = 0
    stream: int = 0
    segment_type: str = ""
    is_expandable: bool = False


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded: the segments at the end, and for each device the events that led there, oldest first.

    ``membench`` is what membench adds to the snapshots that it records: a JSON text, which PyTorch's viewers pass over.
    """

    segments: tuple[Segment, ...]
    device_traces: tuple[tuple[Event, ...], ...] = ()
    allocator_settings: dict[str, Any] = {}
    membench: str = ""

    def trace(self, device: int | None = None) -> tuple[Event, ...]:
        """The events of a device; of the only one that has any, if none is given.

        Raises:
            MembenchError: no event was recorded, or several devices have some and none was chosen.
        """
        recorded = [index for index, events in enumerate(self.device_traces) if events]
        if device is None and len(recorded) > 1:
            raise MembenchError(f"the snapshot has events of the devices {', '.join(map(str, recorded))}; choose one")
        chosen = device if device is not None else (recorded or [-1])[0]
        if chosen not in recorded:
            raise MembenchError(
                "the snapshot has no events"
                + (f" of device {device}" if device is not None else "")
                + "; record with torch.cuda.memory._record_memory_history() before the step"
            )
        return self.device_traces[chosen]


def addresses_ascend(snapshot: Snapshot) -> bool:
    """Whether the driver put new segments above those that were there, rather than below; told from their addresses.

    Linux hands out addresses downwards from 0x7fff_ffff_ffff, and so does a driver that takes device addresses from it:
    in recordings with such addresses each new segment lies below the last (github.com/silmont2000/assignment2-systems,
    github.com/kkaitlyn111/cs336-a2-systems). In those with small ones, as where Windows has the card, it lies above
    (github.com/Wedsonlin/assignment2-systems, github.com/Da1sypetals/tomi).
    """
    addresses = [segment.address for segment in snapshot.segments]
    return 0 < max(addresses, default=0) < _OF_LINUX


def read_snapshot(path: Path) -> Snapshot:
    """Read the file that ``torch.cuda.memory._dump_snapshot`` wrote. Nothing in it is run.

    Raises:
        MembenchError: the file cannot be read, is no such snapshot, or names code; the message says which.
    """
    try:
        return msgspec.convert(read_plain(path), Snapshot, dec_hook=_Stacks())
    except (msgspec.ValidationError, RecursionError) as error:
        raise MembenchError(
            f"{path} is no snapshot of PyTorch's allocator ({_first_line(error)}); "
            "torch.cuda.memory._dump_snapshot writes one"
        ) from None


def read_plain(path: Path) -> Any:
    """Read a pickle of lists, dictionaries, numbers and texts, as it is. Nothing in it is run.

    Raises:
        MembenchError: the file cannot be read, is no pickle, or names code; the message says which.
    """
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise MembenchError(f"{path}: {error.strerror or error}") from None
    except _NamesCodeError as error:
        raise MembenchError(f"{path} is refused: {error}") from None
    except Exception as error:  # a damaged pickle raises nearly anything, EOFError and MemoryError among it
        raise MembenchError(f"{path} is no pickle that can be read ({_first_line(error)})") from None


def live_blocks(snapshot: Snapshot) -> Iterator[Block]:
    """The blocks that were allocated when the snapshot was taken."""
    return (block for segment in snapshot.segments for block in segment.blocks if block.is_allocated)


class _NamesCodeError(Exception):
    """A pickle that is more than plain containers."""


class _PlainUnpickler(pickle._Unpickler):
    """Reads containers, numbers and texts. Everything else goes through these two methods, and is refused.

    It is Python's unpickler in Python, ten times slower than the one in C (an eighth of a second for a megabyte), which
    a few bytes have take any amount of memory: those of a large number in its table of what is referred to again.
    """

    dispatch: ClassVar = {
        code: read for code, read in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _NamesCodeError(f"it names {module}.{name}, and a snapshot of the allocator names no code")

    def persistent_load(self, pid: object) -> NoReturn:
        raise _NamesCodeError("it refers to something outside itself, and a snapshot of the allocator does not")


class _Stacks:
    """Converts stacks. PyTorch shares a stack between events, and frames between stacks; so does the result."""

    def __init__(self) -> None:
        self._stacks: dict[int, Stack] = {}
        self._frames: dict[int, Frame] = {}

    def __call__(self, _kind: type, found: Any) -> Stack:
        if not isinstance(found, list | tuple):
            raise msgspec.ValidationError(f"Expected `array`, got `{type(found).__name__}`")
        known = self._stacks.get(id(found))
        if known is None:
            known = self._stacks[id(found)] = Stack(tuple(map(self._frame, found)))
        return known

    def _frame(self, found: Any) -> Frame:
        known = self._frames.get(id(found))
        if known is None:
            known = self._frames[id(found)] = msgspec.convert(found, Frame)
        return known


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
