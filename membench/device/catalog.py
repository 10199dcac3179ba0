"""The catalog of described cards, cards of the user's own, and how a card is found by name."""

import difflib
import functools
import json
import re
import tomllib
from importlib import resources
from pathlib import Path

import msgspec

from membench.errors import UsageError


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU as the CUDA runtime describes it. Sizes in bytes, clocks in kHz.

    ``sources`` says where each figure is from, in the catalog for every one. ``total_bytes`` is what the runtime
    reports as the device's memory; of it ``context_bytes`` are taken by a CUDA context before a process has allocated
    anything.
    """

    title: str
    name: str
    total_bytes: int
    context_bytes: int
    compute_capability: str
    multiprocessors: int
    threads_per_multiprocessor: int
    blocks_per_multiprocessor: int
    shared_per_block: int
    shared_per_block_optin: int
    shared_per_multiprocessor: int
    reserved_shared_per_block: int
    registers_per_multiprocessor: int
    l2_bytes: int
    clock_khz: int
    memory_clock_khz: int
    pci_device_id: int
    sources: dict[str, str] = {}

    @property
    def usable_bytes(self) -> int:
        """What a process can allocate on the card when nothing else runs on it."""
        return self.total_bytes - self.context_bytes

    def describe(self) -> str:
        """The description that the emulated device reads: ``field=value;…``."""
        major, minor = self.compute_capability.split(".")
        skipped = {"title", "compute_capability", "sources"}
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name not in skipped}
        return ";".join(f"{name}={value}" for name, value in {**fields, "major": major, "minor": minor}.items())

    def check(self) -> None:
        """Refuse a card that no device can be made of.

        Raises:
            ValueError: the message names the field.
        """
        for field in self.__struct_fields__:
            value = getattr(self, field)
            least = 0 if field == "reserved_shared_per_block" else 1
            if isinstance(value, int) and not least <= value < 1 << 63:
                raise ValueError(f"{field} must be positive, not {value}")
        if not re.fullmatch(r"\d{1,2}\.\d", self.compute_capability):
            raise ValueError(f"compute_capability must be such as 8.6, not {self.compute_capability!r}")
        if self.context_bytes >= self.total_bytes:
            raise ValueError(f"context_bytes ({self.context_bytes}) leave nothing of total_bytes ({self.total_bytes})")
        if not re.fullmatch(r'[^;="\x00-\x1f]{1,255}', self.name):
            raise ValueError(f"name must be 1 to 255 characters without ; = and quotes, not {self.name!r}")

    def to_toml(self, name: str) -> str:
        """The card as a table of a device file."""
        figures = [field for field in self.__struct_fields__ if field != "sources"]
        lines = [f"[{name}]", *(f"{field} = {_toml(getattr(self, field))}" for field in figures)]
        sources = [f"{field} = {_toml(source)}" for field, source in self.sources.items()]
        return "\n".join([*lines, f"[{name}.sources]", *sources]) + "\n"


_TEMPLATE = "membench devices --template prints one that is right"
# Cards of the user's own, in the catalog of this process.
_own: dict[str, Card] = {}


def catalog() -> dict[str, Card]:
    """All cards, by name: those of the user's own, then the built-in ones in the file's order."""
    return _own | _built_in()


def own_cards() -> tuple[str, ...]:
    """The names of the cards that were added to the catalog."""
    return tuple(_own)


def use_cards(path: Path | None) -> None:
    """Have the cards of a file in the catalog, instead of those of another; the file is written as the catalog itself.

    Raises:
        UsageError: the file cannot be read or describes no cards, or a card has a name that is taken.
    """
    _own.clear()
    if path is not None:
        _own.update(_read_cards(path))


def _read_cards(path: Path) -> dict[str, Card]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"device file {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"device file {path} is not TOML: {error}") from None
    if not tables:
        raise UsageError(f"device file {path} describes no card; {_TEMPLATE}")
    return {name: _read_card(name, table, path) for name, table in tables.items()}


def _read_card(name: str, table: object, path: Path) -> Card:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) or re.match(r"cuda(:|$)", name):
        raise UsageError(
            f"device file {path}: {name!r} is no name for a card; use small letters, digits and - such as my-card-24gb"
        )
    if name in _built_in():
        raise UsageError(f"device file {path}: {name} is a card of the catalog; give yours another name")
    try:
        card = msgspec.convert(table, Card)
        card.check()
    except msgspec.ValidationError as error:
        raise UsageError(f"device file {path}, card {name}: {error}; {_TEMPLATE}") from None
    except ValueError as error:
        raise UsageError(f"device file {path}, card {name}: {error}") from None
    return card


@functools.cache
def _built_in() -> dict[str, Card]:
    text = resources.files("membench.device").joinpath("catalog.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Card])


def _toml(value: str | int) -> str:
    # A basic string of TOML has the escapes of JSON.
    return json.dumps(value, ensure_ascii=False)


def find_card(name: str) -> tuple[str, Card]:
    """The card of this name, or the only one whose name starts with it; returns its full name too.

    Raises:
        UsageError: no card has the name, or several start with it; the message lists the near ones.
    """
    wanted = name.strip().lower()
    cards = catalog()
    starting = [known for known in cards if known.startswith(wanted)] if wanted else []
    if wanted in cards:
        return wanted, cards[wanted]
    if len(starting) == 1:
        return starting[0], cards[starting[0]]
    if starting:
        raise UsageError(f"device {name!r} could be {_listed(starting)}; write more of the name")
    near = difflib.get_close_matches(wanted, cards, n=3, cutoff=0.3)
    hint = f"near names: {_listed(near)}; " if near else ""
    raise UsageError(f"device {name!r} is not in the catalog; {hint}membench devices lists all")


def _listed(names: list[str]) -> str:
    return ", ".join(names)
