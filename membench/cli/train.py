"""``membench train``: the networks at work, under one strategy or several side by side."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from membench.cli.options import Json, record_options
from membench.cli.output import out, print_json
from membench.cli.rehearsal import rehearse_all, rehearsed
from membench.cli.stopping import Stopping
from membench.device import resolve
from membench.device.real import gpus
from membench.errors import UsageError
from membench.train.extra import require_extra
from membench.train.files import check_writable
from membench.train.layouts import Found, find_cases
from membench.train.sizes import check_patch
from membench.train.spec import TrainSpec

Folder = Annotated[Path, typer.Argument(metavar="DATA", help="Cases in a layout of BraTS: 2020, 2021, 2023 or MSD.")]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="How activations are kept; several are trained alike and compared.",
        show_default="reversible",
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="cpu, cuda, cuda:N; or a card of the catalog, to measure what one rank needs without training.",
        show_default="the GPU of this machine, else cpu",
    ),
]
RankCount = Annotated[int, typer.Option(min=1, help="Ranks to measure one of, on a card of the catalog.")]
StepCount = Annotated[int, typer.Option(help="Changes of the weights.")]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Everything written; a training there goes on.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out cases that are incomplete or broken.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that make samples; 0 makes them between the steps.")]
LossTolerance = Annotated[float, typer.Option(min=0, help="Relative, in every step, for the strategies to agree.")]
DiceTolerance = Annotated[float, typer.Option(min=0, help="Absolute, in the mean Dice after the last step.")]


@partial(record_options, "training", TrainSpec)
def train(
    training: TrainSpec,
    data: Folder,
    strategy: Strategies = None,
    steps: StepCount = 1000,
    device: DeviceName = "",
    folder: OutFolder = Path("membench-training"),
    json: Json = False,
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    ranks: RankCount = 1,
    loss_tolerance: LossTolerance = 1e-3,
    dice_tolerance: DiceTolerance = 0.005,
) -> int:
    """Train the network to segment brain tumours, on BraTS data.

    Several strategies start from the same weights and see the same samples; losses and Dice are compared with the
    first one's. Ctrl-C and SIGTERM end it after the step under way, and the same command goes on from there. With
    several GPUs, start it by torchrun.

    Exit code: 0 done, 1 an error or strategies that do not agree, 2 bad usage, 3 the rehearsal ran out of memory, 130
    stopped by Ctrl-C, 143 by SIGTERM.
    """
    require_extra()
    names = strategy or ["reversible"]
    if len(set(names)) < len(names):
        raise UsageError("a strategy is named twice")
    specs = [msgspec.structs.replace(training, strategy=name, steps=steps) for name in names]
    for spec in specs:
        spec.validate()
    wanted = device or ("cuda" if gpus() else "cpu")
    kind = wanted.split(":")[0]
    card = None if kind == "cpu" else resolve(wanted)
    found = find_cases(data)
    check_writable(folder)
    from membench.train.step import check

    for spec in specs:
        check(spec, kind)
    if card and card.info.kind == "emulated":
        return rehearse_all(specs, found, card, ranks, json)
    if ranks > 1:
        raise UsageError("--ranks is for a card of the catalog; several ranks are started by torchrun")
    check_patch(specs[0], found)
    with Stopping() as stopping:
        try:
            tolerances = (loss_tolerance, dice_tolerance)
            return _train(specs, found, wanted, folder, skip_bad, workers, tolerances, json, stopping)
        except KeyboardInterrupt:
            typer.echo(f"membench: stopped; the same command goes on from the last checkpoint in {folder}", err=True)
            return stopping.exit_code


def _train(
    specs: Sequence[TrainSpec],
    found: Found,
    device: str,
    folder: Path,
    skip_bad: bool,
    workers: int,
    tolerances: tuple[float, float],
    json: bool,
    stopping: Stopping,
) -> int:
    from membench.cli.training import Display, document, print_results
    from membench.train.data import prepare
    from membench.train.distributed import joined
    from membench.train.parity import compare
    from membench.train.run import train as run

    kept = folder / "prepared"
    with joined(device) as ranks, Display(found, ranks.leads, stopping) as display:
        if ranks.leads:
            prepare(found, specs[0], kept, skip_bad=skip_bad, workers=workers, on_case=display.prepared)
        ranks.gather(None)  # the others find what the first has prepared
        data = prepare(found, specs[0], kept, skip_bad=skip_bad)
        display.ready(data)
        results = [
            run(
                spec,
                data,
                folder / _folder_name(spec),
                ranks,
                workers=workers,
                rehearsal=partial(rehearsed, spec, found, ranks.count),
                watcher=display,
            )
            for spec in specs
        ]
    parity = compare(results, *tolerances)
    if ranks.leads:
        if json:
            print_json(document(results, parity, data, folder))
        else:
            print_results(out(), results, parity, folder)
    return 1 if parity and not parity.agrees else 0


def _folder_name(spec: TrainSpec) -> str:
    return spec.strategy.replace(":", "+")
