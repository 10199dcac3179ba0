"""The catalog of described cards, and how a card is found by name."""

import difflib
import functools
import tomllib
from importlib import resources

import msgspec

from membench.errors import UsageError


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU as the CUDA runtime describes it. Sizes in bytes, clocks in kHz.

    ``sources`` says where each figure is from. ``total_bytes`` is what the runtime reports as the device's memory; of
    it ``context_bytes`` are taken by a CUDA context before a process has allocated anything.
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
    sources: dict[str, str]

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


@functools.cache
def catalog() -> dict[str, Card]:
    """All cards, by name, in the file's order."""
    text = resources.files("membench.device").joinpath("catalog.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Card])


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
    hint = f"; near names: {_listed(near)}" if near else ""
    raise UsageError(
        f"device {name!r} is not in the catalog{hint} (membench devices lists all), or cuda for the GPU of this machine"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names)
