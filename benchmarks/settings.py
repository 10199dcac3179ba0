"""What PyTorch's settings do to the peak: the optimizer's implementation, and the allocator's options.

    python benchmarks/settings.py                    # on an emulated A100 40 GB; writes results/settings.md

The strategy is `reversible-sliced`, Adam, batch 1. An optimizer's temporaries are as large as the parameters, so they
make the peak only where parameters fill the memory: a wide network on a small volume. Gaps between blocks, which the
allocator's options are for, are a matter of large volumes.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from membench.cli.output import err, out
from membench.device import resolve
from membench.probe import Prober
from membench.result import Measurement
from membench.spec import NetworkSpec, ProbeSpec
from membench.units import format_bytes, format_volume

HERE = Path(__file__).parent
WIDE = NetworkSpec(base_channels=512)
CASES = ((NetworkSpec(), (240, 240, 160)), (WIDE, (32, 32, 32)))
IMPLEMENTATIONS = ("foreach", "for-loop", "fused")
ALLOCATORS = ("", "expandable_segments:True", "max_split_size_mb:256", "roundup_power2_divisions:8")


def optimizer_probes(device: str) -> Iterator[tuple[str, ProbeSpec]]:
    for (network, volume), implementation in itertools.product(CASES, IMPLEMENTATIONS):
        name = f"Adam, {implementation} | {network.base_channels} base channels, {format_volume(volume)}, fp32"
        yield (
            name,
            ProbeSpec(
                network=network,
                volume=volume,
                strategy="reversible-sliced",
                optimizer_implementation=implementation,
                device=device,
            ),
        )


def allocator_probes(device: str) -> Iterator[tuple[str, ProbeSpec]]:
    network, volume = CASES[0]
    for precision, allocator in itertools.product(("fp32", "bf16"), ALLOCATORS):
        workload = f"{network.base_channels} base channels, {format_volume(volume)}, {precision}"
        name = f"{allocator or 'the default'} | {workload}"
        yield (
            name,
            ProbeSpec(
                network=network,
                volume=volume,
                strategy="reversible-sliced",
                precision=precision,
                allocator=allocator,
                device=device,
            ),
        )


def row(name: str, found: Measurement) -> str:
    """A line of the table: what was set, the workload, and the peaks."""
    peaks = (found.peak_allocated_bytes, found.peak_reserved_bytes)
    cells = map(format_bytes, peaks) if found.fits else (found.status, found.message)
    return f"| {name} | {' | '.join(cells)} |"


def main(
    device: Annotated[str, typer.Option(help="A card of the catalog, or cuda.")] = "a100-40gb",
    results: Annotated[Path, typer.Option(help="Where settings.md goes.")] = HERE / "results",
) -> None:
    """Measure what settings of PyTorch do to the peak."""
    card = resolve(device)
    name = card.info.name
    with Prober(card) as prober, err().status("measuring …"):
        versions = ", ".join(f"{library} {text}" for library, text in prober.versions.items())
        optimizers = [row(title, prober(probe)) for title, probe in optimizer_probes(name)]
        allocators = [row(title, prober(probe)) for title, probe in allocator_probes(name)]
    head = ["| workload | peak allocated | peak reserved |", "|---|---|--:|--:|"]
    lines = [
        f"# Settings of PyTorch on {card.info.title}{', emulated' if card.info.kind == 'emulated' else ''}",
        "",
        f"Made by `python benchmarks/settings.py --device {name}`, with strategy `reversible-sliced`. {versions}.",
        "",
        *(f"| optimizer {head[0]}", head[1], *optimizers),
        "",
        *(f"| allocator {head[0]}", head[1], *allocators),
    ]
    text = "\n".join(lines) + "\n"
    results.mkdir(parents=True, exist_ok=True)
    (results / "settings.md").write_text(text, encoding="utf-8")
    out().print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
