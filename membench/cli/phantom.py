"""``membench phantom``: data to train on, where BraTS itself is not at hand."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track
from rich.text import Text

from membench.cli.output import err, out
from membench.train.extra import require_extra
from membench.train.layouts import LAYOUTS, layout_named
from membench.units import parse_volume

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")]
Cases = Annotated[int, typer.Option(help="How many heads.")]
Shape = Annotated[str, typer.Option(metavar="XxYxZ", help="Voxels; they always span 240 x 240 x 155 mm.")]
LayoutName = Annotated[str, typer.Option("--layout", metavar="NAME", help=f"One of {', '.join(LAYOUTS)}.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same heads.")]


def phantom(
    folder: Folder, cases: Cases = 10, shape: Shape = "240x240x155", layout: LayoutName = "2021", seed: Seed = 0
) -> int:
    """Write heads with tumours as NIfTI, in a layout of BraTS.

    They are analytic, skull-stripped as BraTS is, each with four modalities, noise, an uneven coil, and one or two
    tumours of three nested regions. membench train reads them as it reads BraTS.

    Exit code: 0 written, 1 they cannot be, 2 bad usage.
    """
    require_extra()
    from membench.train.phantom import write_phantoms

    voxels, chosen = parse_volume(shape), layout_named(layout)
    written = write_phantoms(folder, chosen, cases, voxels, seed)
    console = err()
    bar = track(written, "heads", total=cases, console=console, transient=True, disable=not console.is_terminal)
    for _ in bar:
        pass
    out().print(Text(f"{cases} cases in the layout {layout} in {folder}"), soft_wrap=True)
    return 0
