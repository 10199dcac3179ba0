"""`auto` beside `reversible` for every stage: both fit the budget, and which takes less time.

    python benchmarks/auto.py                                      # 160^3 voxels on an emulated A100 40 GB at 24 GiB
    python benchmarks/auto.py --volume 128 --budget 10GiB --device t4-16gb

The mix is found by measuring (`membench.recommend`), its peak is taken under the budget on the emulated card, and the
step times are CPU times over those of `plain` (`step_time`, at 32^3, alternating in this process).
Exit code: 0 the mix fits and takes less time than `reversible`, 1 it does not.
"""

from typing import Annotated

import msgspec
import typer

from membench.cli.output import err, out, plain_table
from membench.device import resolve
from membench.models.timing import compare
from membench.probe import Prober
from membench.recommend import find_cheapest, network_mixes
from membench.report.words import short_mix
from membench.result import Measurement
from membench.spec import NetworkSpec, ProbeSpec
from membench.units import format_bytes, parse_bytes, parse_volume

BASELINE = "reversible"
TIMED_SIDE = 32
ROUNDS = 5


def main(
    volume: Annotated[str, typer.Option(metavar="DxHxW", help="Voxels; one number is a cube.")] = "160",
    budget: Annotated[str, typer.Option(help="Such as 24GiB.")] = "24GiB",
    device: Annotated[str, typer.Option(help="A card of the catalog.")] = "a100-40gb",
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps of each strategy.")] = ROUNDS,
) -> None:
    """Compare the mix that auto finds with one strategy for all stages."""
    card, limit = resolve(device), parse_bytes(budget)
    card.check_budget(limit)
    network = NetworkSpec()
    probe = ProbeSpec(network=network, volume=parse_volume(volume), device=card.info.name, budget=limit)
    with Prober(card) as prober, err().status("finding the mix …"):
        found = find_cheapest(probe, card, network_mixes(network), prober)
        uniform = prober(msgspec.structs.replace(probe, strategy=BASELINE))
    mix = found.subject.measurement
    measured = {BASELINE: uniform, mix.spec.strategy: mix}
    times = {row.strategy: row for row in compare(network, (TIMED_SIDE,) * 3, list(measured), rounds=rounds)}
    table = plain_table("Strategy", f"Fits {budget}", "Reserved", "Step time", "Operations")
    for name, peak in measured.items():
        row = times[name]
        figures = (f"{row.ratio:.2f}× ({row.lowest:.2f}-{row.highest:.2f})", f"{row.operations_ratio:.2f}×")
        table.add_row(f"auto: {short_mix(name)}" if peak is mix else name, *_outcome(peak), *figures)
    out().print(table)
    faster = times[mix.spec.strategy].ratio < times[BASELINE].ratio
    out().print(f"auto fits: {mix.fits}; it takes less time than {BASELINE} for every stage: {faster}")
    raise typer.Exit(0 if mix.fits and faster else 1)


def _outcome(found: Measurement) -> tuple[str, str]:
    return "yes" if found.fits else found.status, format_bytes(found.peak_reserved_bytes) if found.fits else "–"


if __name__ == "__main__":
    typer.run(main)
