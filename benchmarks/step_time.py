"""The price of each strategy in time: full training steps, alternating in one process, against `plain`.

    python benchmarks/step_time.py    # the default network, a small volume, on the CPU and, if there is one, the GPU
    python benchmarks/step_time.py --device cuda --volume 96
    python benchmarks/step_time.py --strategy reversible --strategy plain:reversible:reversible:reversible --json

How it is timed: `membench.models.timing`. Beside it stands the ratio of floating-point operations of products and
convolutions, which depends on no machine; they are counted in the first step, which is not timed.

Read the CPU's ratio with care. Most of a plain step goes to depthwise 3-D convolutions, for which oneDNN has a fast
kernel forward (brdgmm_dw) and backward only its general one (gemm:jit, a matrix product with a single row for each
channel): backward takes 4 to 5 times as long as forward, where the arithmetic says twice. Computing forward again then
looks cheaper than it is. ``--no-onednn`` takes PyTorch's own convolutions, slow in both directions alike, in which a
recomputation has its full price (checkpoint 1.29 instead of 1.07) but slices gain from the caches; ``--block conv`` has
only convolutions that oneDNN does well. The line below the table says how long backward takes in the run. Strategy
`offload` has nowhere to go on a CPU: its price is the bus.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
import typer

from membench.cli.output import err, out, plain_table, print_json
from membench.models import strategies
from membench.models.timing import ROUNDS, StepTime, compare
from membench.network_spec import BlockKind
from membench.plugins import load_plugins
from membench.spec import NetworkSpec
from membench.units import parse_volume


def main(
    strategy: Annotated[
        list[str] | None, typer.Option(help="Repeat to compare; all that are known if left out.")
    ] = None,
    volume: Annotated[str, typer.Option(metavar="DxHxW", help="Voxels; one number is a cube.")] = "32",
    base_channels: Annotated[int, typer.Option(help="Channels of the first stage.")] = 32,
    stages: Annotated[int, typer.Option(help="Resolutions.")] = 4,
    blocks: Annotated[int, typer.Option(help="Blocks per stage.")] = 2,
    block: Annotated[BlockKind, typer.Option(help="mbconv or conv.")] = "mbconv",
    device: Annotated[
        str | None, typer.Option(help="cpu, or cuda, cuda:N; if left out the CPU, and the GPU where there is one.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps of each strategy.")] = ROUNDS,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    onednn: Annotated[bool, typer.Option(help="Convolve by oneDNN on the CPU.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare the step times of strategies."""
    load_plugins()
    network = NetworkSpec(base_channels=base_channels, stages=stages, blocks=blocks, block=block)
    torch.backends.mkldnn.set_flags(onednn)  # type: ignore[no-untyped-call]
    names, voxels = strategy or strategies(), parse_volume(volume)
    devices = [device] if device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    with err().status("") as status:
        found = {
            on: compare(network, voxels, names, device=on, rounds=rounds, threads=threads, tell=status.update)
            for on in devices
        }
    if json:
        first, *others = found.items()
        document = {"volume": volume, "device": first[0], "rounds": rounds, "network": network, "strategies": first[1]}
        print_json(document | {f"strategies_on_{on}": rows for on, rows in others})
    else:
        for on, rows in found.items():
            out().print(*_lines(rows, on), sep="\n")


def _lines(found: Sequence[StepTime], device: str) -> Iterator[Any]:
    table = plain_table("Strategy", f"Step time ({device})", "lowest", "highest", "Operations", "Seconds")
    for row in found:
        figures = (f"{row.ratio:.2f}×", f"{row.lowest:.2f}×", f"{row.highest:.2f}×", f"{row.operations_ratio:.2f}×")
        seconds = f"{row.forward_seconds + row.backward_seconds:.2f}"
        table.add_row(row.strategy, *(("–",) * 5 if row.error else (*figures, seconds)))
    yield table
    for row in found:
        if row.error:
            yield f"{row.strategy}: {row.error}"
    plain = found[0]
    yield f"\nWith plain, backward takes {plain.backward_seconds / plain.forward_seconds:.1f} times as long as forward."


if __name__ == "__main__":
    typer.run(main)
