"""How far reconstruction drifts: what the reversible strategies compute beside `plain`, against blocks per stage.

    python benchmarks/drift.py --out drift            # drift.csv and drift.png, drift.svg in that folder
    python benchmarks/drift.py --blocks 2 --blocks 8 --out drift
    python benchmarks/drift.py --out benchmarks/results --ship  # also as the table that reports warn by

An inverse is exact only up to rounding, and what it gives is the input of the next one. Three relative errors (2-norms)
are measured, on the CPU, for a network as it is initialised and a volume of random numbers:

- ``input``: the input of the first stage, reconstructed from its output, beside the input itself;
- ``gradient``: the gradients of all parameters beside those of plain in the same precision;
- ``rounding``: those of plain beside plain in float64, which is what the precision costs without reconstruction.

Nearly all of a gradient's error is of single values that rounding takes across zero at a ReLU. So draws differ much,
and the median of several is given; and it falls with the root of the voxels, of which there are few here.

The bound of the gradients' drift in float32 is a tenth of what bf16 autocast costs those of plain, with which networks
are trained every day. In bf16 autocast sums are rounded to a grid on which they are undone exactly
(`membench.models.strategies.grid`), and the bound is plain's own rounding: a step can use no more of its
gradient anyway. Exit code: 0 all stays below the bound, 1 it does not.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Annotated, cast

import msgspec
import pandas as pd
import torch
import typer
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import Tensor

import membench.report
from membench.cli.output import out, plain_table
from membench.models import UNet3d, build, segmentation_loss
from membench.models.blocks import Block
from membench.models.strategies.chain import ReversibleSliced
from membench.models.strategies.couple import add_all, couple, undo_all
from membench.models.strategies.replay import Conditions
from membench.models.strategies.reversible import Reversible
from membench.report.drift import Drift
from membench.report.figures.style import LEGEND, RC, VariantStyle, new_figure, render
from membench.spec import NetworkSpec
from membench.units import parse_volume

STRATEGIES: dict[str, Reversible] = {"reversible": Reversible(), "reversible-sliced": ReversibleSliced()}
PRECISIONS = ("fp32", "bf16")
DEPTHS = (1, 2, 4, 8, 16, 32)
BOUND = 0.1  # in float32, of the rounding of bf16 autocast
SEEDS = 3
TITLES = {"fp32": "float32", "bf16": "bf16 autocast"}


def measure(network: NetworkSpec, volume: Sequence[int], depths: Sequence[int], seeds: int = SEEDS) -> list[Drift]:
    """The drift of every strategy and precision at each number of blocks per stage, medians over the seeds."""
    drawn = [list(_drifts(network, volume, depths, seed)) for seed in range(seeds)]
    return [_median(rows) for rows in zip(*drawn, strict=True)]


def _median(rows: Sequence[Drift]) -> Drift:
    errors = ("input", "gradient", "rounding", "bound")
    return msgspec.structs.replace(rows[0], **{name: median(getattr(row, name) for row in rows) for name in errors})


def _drifts(network: NetworkSpec, volume: Sequence[int], depths: Sequence[int], seed: int) -> Iterator[Drift]:
    for blocks in depths:
        torch.manual_seed(seed)
        built = build(msgspec.structs.replace(network, blocks=blocks))
        x = torch.randn(1, network.in_channels, *volume)
        target = torch.randint(2, (1, network.out_channels, *volume), dtype=torch.uint8)
        exact = _gradients(copy.deepcopy(built).double(), x.double(), target, "fp32")
        plain = {precision: _gradients(built, x, target, precision) for precision in PRECISIONS}
        rounding = {precision: _error(gradients, exact) for precision, gradients in plain.items()}
        for precision in PRECISIONS:
            for name, strategy in STRATEGIES.items():
                built.use_strategy(strategy)
                yield Drift(
                    strategy=name,
                    precision=precision,
                    blocks=blocks,
                    input=_reconstruction_error(built, strategy, x, precision),
                    gradient=_error(_gradients(built, x, target, precision), plain[precision]),
                    rounding=rounding[precision],
                    bound=rounding["bf16"] * (BOUND if precision == "fp32" else 1),
                )


def _autocast(precision: str) -> AbstractContextManager[None]:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


def _gradients(network: UNet3d, x: Tensor, target: Tensor, precision: str) -> Tensor:
    """The gradients of all parameters, in one."""
    network.zero_grad()
    with _autocast(precision):
        loss = segmentation_loss(network(x), target)
    loss.backward()
    return torch.cat([cast(Tensor, parameter.grad).flatten() for parameter in network.parameters()])


def _reconstruction_error(network: UNet3d, strategy: Reversible, x: Tensor, precision: str) -> float:
    """Of the first stage, undone by the strategy's own steps."""
    with torch.no_grad(), _autocast(precision):
        entered = network.stem(x).float()
        blocks = cast("list[Block]", list(network.encoder[0].blocks))
        conditions = Conditions(x.device)
        steps = couple(blocks, conditions, strategy.slices, room=entered.shape[1])
        entered = conditions.settle(entered)
        h = entered.clone()
        add_all(steps, h)
        undo_all(steps, h, torch.ones_like(h), {})
    return _error(h, entered)


def _error(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.double(), expected.double()
    return ((actual - expected).norm() / expected.norm()).item()


def draw(found: Sequence[Drift]) -> Figure:
    """Errors of inputs (dashed) and gradients against depth, plain's own rounding and the bound, by precision."""
    with rc_context(RC):
        figure, panels = new_figure(3.4, rows=len(PRECISIONS), sharex=True)
        style = VariantStyle(("reversible", "reversible-sliced"))
        for axes, precision in zip(panels, PRECISIONS, strict=True):
            for name in STRATEGIES:
                rows = [row for row in found if (row.precision, row.strategy) == (precision, name)]
                depths, color, marker = [row.blocks for row in rows], style.color(name), style.marker(name)
                gradients = [row.gradient for row in rows]
                axes.plot(depths, gradients, color=color, marker=marker, label=f"{name}: gradient")
                axes.plot(depths, [row.input for row in rows], "--", color=color, marker=marker, label="input")
            axes.plot(depths, [row.rounding for row in rows], ":", color="0.5", label="plain beside float64")
            if precision == "fp32":
                axes.plot(depths, [row.bound for row in rows], color="0.2", linewidth=0.8, label="bound")
            axes.set(xscale="log", ylabel="Relative error", title=TITLES[precision])
            axes.set_yscale("symlog", linthresh=1e-7)  # an exact reconstruction has an error of 0
            axes.set_yticks([0, 1e-6, 1e-4, 1e-2, 1], ["0", "1e-6", "1e-4", "1e-2", "1"])
            axes.set_ylim(-3e-8, 2)
            axes.set_xticks(depths, [str(depth) for depth in depths])
            axes.minorticks_off()
        panels[-1].set_xlabel("Blocks per stage")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, **LEGEND)
    return figure


def main(
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files are written.")],
    blocks: Annotated[list[int] | None, typer.Option(min=1, help="Blocks per stage; may be repeated.")] = None,
    volume: Annotated[str, typer.Option(metavar="DxHxW", help="Voxels; one number is a cube.")] = "16",
    base_channels: Annotated[int, typer.Option(help="Channels of the first stage.")] = 16,
    stages: Annotated[int, typer.Option(help="Resolutions.")] = 2,
    seeds: Annotated[
        int, typer.Option(min=1, help="Draws of parameters and volume, of which medians are given.")
    ] = SEEDS,
    ship: Annotated[
        bool, typer.Option("--ship", help="Make it the table of the package (membench.report.drift).")
    ] = False,
) -> None:
    """Measure the drift of reconstruction."""
    network = NetworkSpec(base_channels=base_channels, stages=stages)
    found = measure(network, parse_volume(volume), sorted(set(blocks or DEPTHS)), seeds)
    out_folder.mkdir(parents=True, exist_ok=True)
    rows = [msgspec.structs.asdict(row) for row in found]
    table_text = pd.DataFrame(rows).to_csv(index=False, float_format="%.3e", lineterminator="\n")
    for folder in (out_folder, *([Path(membench.report.__file__).parent] if ship else [])):
        (folder / "drift.csv").write_text(table_text, encoding="utf-8")
    figure = draw(found)
    for kind in ("png", "svg"):
        (out_folder / f"drift.{kind}").write_bytes(render(figure, kind))
    table = plain_table("Strategy", "Precision", "Blocks", "Input", "Gradient", "Rounding", "Bound", "")
    for row in found:
        errors = (f"{error:.1e}" for error in (row.input, row.gradient, row.rounding, row.bound))
        table.add_row(row.strategy, row.precision, str(row.blocks), *errors, "exceeds" if row.exceeds else "")
    out().print(table)
    raise typer.Exit(1 if any(row.exceeds for row in found) else 0)


if __name__ == "__main__":
    typer.run(main)
