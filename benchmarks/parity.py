"""Saving memory costs no accuracy: the strategies trained side by side on phantoms, and that they learn.

    python benchmarks/parity.py --out parity     # tables, curves, and the trainings themselves, in that folder

Two trainings on 24 phantoms of 64^3 voxels, of which 5 are held out, on the CPU in float32:

- *parity*: 50 steps under each strategy, from the same weights, on the same samples. Losses are compared step by step,
  Dice at the end. The learning rate is one at which rounding stays what it is; at a higher one a training amplifies any
  difference, that of the order of a sum as well, until two runs are two samples of the same noise.
- *learning*: 100 steps under `reversible` at a learning rate that learns fast. The mean Dice over the three regions on
  the held-out cases is to reach 0.80.

What has ended is kept: the command goes on where it was stopped, and made again only draws. CPU time is that of all
threads of the process in the training steps. Exit code: 0 both hold, 1 one does not.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import pandas as pd
import typer
from matplotlib import rc_context
from matplotlib.figure import Figure

from membench.cli.output import out
from membench.device import DEFAULT_CARD, resolve
from membench.report.figures.style import LEGEND, RC, VariantStyle, new_figure, render
from membench.spec import NetworkSpec
from membench.train.data import Prepared, prepare
from membench.train.distributed import Ranks
from membench.train.layouts import LAYOUTS, REGIONS, find_cases
from membench.train.parity import Parity, compare
from membench.train.phantom import write_phantoms
from membench.train.rehearsal import rehearse, step_volume
from membench.train.result import TrainResult
from membench.train.run import train
from membench.train.spec import TrainSpec
from membench.units import format_bytes

STRATEGIES = ("plain", "reversible", "reversible-sliced")
CASES, SIDE, SEED = 24, 64, 0
LEARNT = 0.80
LARGE = (128, 128, 128)
NETWORK = NetworkSpec(base_channels=16, norm_groups=4, stages=3, blocks=1, expansion=2)
PARITY = TrainSpec(network=NETWORK, steps=50, patch=(32, 32, 32), learning_rate=5e-4, overlap=0.25, checkpoint_every=25)
LEARNING = TrainSpec(
    network=NETWORK, steps=100, patch=(48, 48, 48), learning_rate=5e-3, overlap=0.25, checkpoint_every=25
)


def run(spec: TrainSpec, strategies: Sequence[str], phantoms: Path, folder: Path) -> list[TrainResult]:
    """Train under each strategy, all alike."""
    found = find_cases(phantoms)
    data: Prepared = prepare(found, spec, folder / "prepared")
    results = []
    for name in strategies:
        each = msgspec.structs.replace(spec, strategy=name)
        rehearsal = partial(rehearse, each, resolve(DEFAULT_CARD), step_volume(each, found))
        results.append(train(each, data, folder / name, Ranks(), rehearsal=rehearsal))
    return results


def large_peaks() -> dict[str, int]:
    """Peaks in bytes of a step of the same network on `LARGE` voxels; at 32^3 most of them is workspaces."""
    specs = (msgspec.structs.replace(PARITY, strategy=name) for name in STRATEGIES)
    return {spec.strategy: rehearse(spec, resolve(DEFAULT_CARD), LARGE).allocated_bytes for spec in specs}


def table(trained: dict[str, list[TrainResult]], large: dict[str, int]) -> pd.DataFrame:
    """A row for each training, with the strategy's peak on `LARGE` voxels."""
    rows = []
    for name, results in trained.items():
        for result in results:
            parity = compare([results[0], result])
            assert parity is not None
            scores = {f"dice_{region}": result.final.dice(region) for region in REGIONS}
            scores |= {f"hd95_{region}_mm": result.final.hd95(region) for region in REGIONS}
            rows.append(
                {
                    "training": name,
                    "strategy": result.spec.strategy,
                    "steps": len(result.steps),
                    "last_loss": result.steps[-1].loss,
                    "largest_relative_loss_difference": parity.largest_relative_loss_difference,
                    **scores,
                    "mean_dice": result.final.mean_dice,
                    "cpu_seconds": result.cpu_seconds,
                    "wall_seconds": result.seconds,
                    "peak_allocated_bytes": result.peak.allocated_bytes if result.peak else None,
                    "peak_allocated_bytes_at_128": large[result.spec.strategy],
                }
            )
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame, parity: Parity) -> str:
    """The table for people."""
    lines = [
        f"# Parity of strategies on {CASES} phantoms of {SIDE}³ voxels",
        "",
        f"The strategies {'agree' if parity.agrees else 'do not agree'}: over {PARITY.steps} steps in float32 the"
        f" largest relative difference in the loss to `{parity.reference}` is"
        f" {parity.largest_relative_loss_difference:.1e}"
        f" (allowed {parity.loss_tolerance:g}), in the mean Dice after the last step {parity.dice_difference:.5f}"
        f" (allowed {parity.dice_tolerance:g}).",
        "",
        "| training | strategy | steps | last loss | Δ loss | Dice whole, core, enhancing | mean Dice"
        " | HD95 in mm | CPU time | peak | peak at 128³ |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.to_dict("records"):
        dice = ", ".join(f"{row[f'dice_{region}']:.3f}" for region in REGIONS)
        first = row["training"] == "learning" or row["strategy"] == parity.reference
        difference = "–" if first else f"{row['largest_relative_loss_difference']:.1e}"
        distances = ", ".join(f"{row[f'hd95_{region}_mm']:.1f}" for region in REGIONS)
        lines.append(
            f"| {row['training']} | `{row['strategy']}` | {row['steps']} | {row['last_loss']:.4f}"
            f" | {difference} | {dice} | {row['mean_dice']:.3f} | {distances}"
            f" | {row['cpu_seconds']:.0f} s | {format_bytes(row['peak_allocated_bytes'])}"
            f" | {format_bytes(row['peak_allocated_bytes_at_128'])} |"
        )
    lines += [
        "",
        f"Dice and Hausdorff distances are of held-out cases. Peaks (allocated) are of the same steps on an emulated"
        f" {DEFAULT_CARD}; the trainings ran on a CPU. CPU time is that of the training steps.",
        "",
    ]
    return "\n".join(lines)


def draw(trained: dict[str, list[TrainResult]]) -> Figure:
    """The losses of each training, and below those of the first how far the strategies are from plain."""
    with rc_context(RC):
        figure, panels = new_figure(4.6, rows=3)
        style = VariantStyle(STRATEGIES)
        reference = trained["parity"][0]
        for axes, name in ((panels[0], "parity"), (panels[2], "learning")):
            for n, result in enumerate(trained[name]):
                line = (0, (1 + n, n)) if n else "-"  # lines on top of one another are all seen
                losses = [step.loss for step in result.steps]
                strategy = result.spec.strategy
                axes.plot(
                    range(1, len(losses) + 1), losses, linestyle=line, color=style.color(strategy), label=strategy
                )
            rate, side = trained[name][0].spec.learning_rate, (trained[name][0].spec.patch or (SIDE,))[0]
            axes.set(ylabel="Loss", title=f"{name.capitalize()}: patches of {side}³, learning rate {rate:g}")
        for result in trained["parity"][1:]:
            pairs = zip(reference.steps, result.steps, strict=True)
            differences = [abs(b.loss - a.loss) / abs(a.loss) for a, b in pairs]
            panels[1].plot(range(1, len(differences) + 1), differences, color=style.color(result.spec.strategy))
        panels[1].axhline(1e-3, color="0.2", linewidth=0.8)
        panels[1].set_yscale("symlog", linthresh=1e-7)
        panels[1].set_yticks([0, 1e-6, 1e-5, 1e-4, 1e-3], ["0", "1e-6", "1e-5", "1e-4", "1e-3"])
        panels[1].minorticks_off()
        panels[1].set(ylabel="Relative difference", title="Parity: loss beside plain's, and what is allowed")
        panels[2].set_xlabel("Step")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, **LEGEND)
    return figure


def main(
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where everything is written.")],
) -> None:
    """Train the strategies side by side on phantoms, and write the table and the curves."""
    phantoms = out_folder / "phantoms"
    if not phantoms.exists():
        for _ in write_phantoms(phantoms, LAYOUTS["2021"], CASES, (SIDE, SIDE, SIDE), SEED):
            pass
    trained = {
        "parity": run(PARITY, STRATEGIES, phantoms, out_folder / "parity"),
        "learning": run(LEARNING, ("reversible",), phantoms, out_folder / "learning"),
    }
    parity = compare(trained["parity"])
    assert parity is not None
    rows = table(trained, large_peaks())
    rows.to_csv(out_folder / "parity.csv", index=False, float_format="%.6g", lineterminator="\n")
    text = markdown(rows, parity)
    (out_folder / "parity.md").write_text(text, encoding="utf-8")
    figure = draw(trained)
    for kind in ("png", "svg"):
        (out_folder / f"parity.{kind}").write_bytes(render(figure, kind))
    out().print(text, soft_wrap=True, markup=False)
    learnt = trained["learning"][0].final.mean_dice >= LEARNT
    raise typer.Exit(0 if parity.agrees and learnt else 1)


if __name__ == "__main__":
    typer.run(main)
