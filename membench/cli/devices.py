"""``membench devices``: the cards that can be emulated, and the GPUs of this machine."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from membench.cli.options import DeviceFile, Json
from membench.cli.output import out, print_json
from membench.device import DEFAULT_CARD, catalog, default_device, find_card, real
from membench.result import DeviceKind
from membench.units import GIB

TEMPLATE_NOTE = """\
# A card for --device-file. total_bytes is what torch.cuda.get_device_properties(0).total_memory says, context_bytes
# what torch.cuda.mem_get_info() lacks of it before anything is allocated; NVIDIA's deviceQuery prints the rest.
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A device that probes can run on. ``sources`` says where each figure of a card is from.

    ``usable_bytes`` is ``total_bytes`` without ``context_bytes``; both are None where only a CUDA context could tell.
    """

    name: str
    kind: DeviceKind
    title: str
    total_bytes: int
    context_bytes: int | None
    usable_bytes: int | None
    compute_capability: str
    multiprocessors: int
    default: bool
    sources: dict[str, str] = {}


def devices(
    template: Annotated[
        bool, typer.Option("--template", help="Print a card as a file for --device-file, to be changed, instead.")
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="The card that --template prints.", show_default=True)
    ] = DEFAULT_CARD,
    device_file: DeviceFile = None,
    json: Json = False,
) -> int:
    """List the devices that can be measured on.

    They are the GPUs of this machine, and the cards of the catalog, which are emulated.
    """
    if template:
        name, card = find_card(device)
        typer.echo(TEMPLATE_NOTE + card.to_toml(f"my-{name}"), nl=False)
        return 0
    entries = [*_gpus(), *_cards()]
    if json:
        print_json(entries)
    else:
        out().print(_table(entries))
    return 0


def _gpus() -> Iterator[Entry]:
    for ordinal, gpu in enumerate(real.gpus()):
        yield Entry(
            name=f"cuda:{ordinal}" if ordinal else "cuda",
            kind="real",
            title=gpu.name,
            total_bytes=gpu.total_bytes,
            context_bytes=None,
            usable_bytes=None,
            compute_capability=gpu.compute_capability,
            multiprocessors=gpu.multiprocessors,
            default=ordinal == 0,
        )


def _cards() -> Iterator[Entry]:
    default = default_device()
    for name, card in catalog().items():
        yield Entry(
            name=name,
            kind="emulated",
            title=card.title,
            total_bytes=card.total_bytes,
            context_bytes=card.context_bytes,
            usable_bytes=card.usable_bytes,
            compute_capability=card.compute_capability,
            multiprocessors=card.multiprocessors,
            default=name == default,
            sources=card.sources,
        )


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Device", no_wrap=True)
    table.add_column("Card")
    for heading in ("Memory", "Usable", "CC", "SMs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            f"{entry.name} *" if entry.default else entry.name,
            entry.title.removeprefix("NVIDIA "),
            _gibibytes(entry.total_bytes),
            "" if entry.usable_bytes is None else _gibibytes(entry.usable_bytes),
            entry.compute_capability,
            str(entry.multiprocessors),
            style="bold" if entry.default else None,
        )
    table.caption = (
        "Memory in GiB; CC compute capability; SMs multiprocessors; * the default. All but cuda are emulated."
    )
    table.caption_justify = "left"
    return table


def _gibibytes(count: int) -> str:
    return f"{count / GIB:.2f}"
