"""The price of each strategy in time: full training steps, alternating in one process, against `plain`.

    python benchmarks/step_time.py    # the default network, a small volume, on the CPU and, if there is one, the GPU
    python benchmarks/step_time.py --device cuda --volume 96
    python benchmarks/step_time.py --strategy reversible --strategy plain:reversible:reversible:reversible --json

A round is one step (forward, loss, backward, Adam) of every strategy. The ratio is taken within a round, and the median
of the rounds is reported. On one CPU thread, the default, the time is the process's CPU time: that of a machine that
does nothing else. With more threads, and on a GPU, it is wall time.

Beside it stands the ratio of floating-point operations of products and convolutions, which depends on no machine. They
are counted in the first step, which is not timed, by `torch.utils.flop_counter` with two corrections: it takes the
weight's gradient of a grouped convolution for that of a full one, and does not know products in place.

Read the CPU's ratio with care. Most of a plain step goes to depthwise 3-D convolutions, for which oneDNN has a fast
kernel forward (brdgmm_dw) and backward only its general one (gemm:jit, a matrix product with a single row for each
channel): backward takes 4 to 5 times as long as forward, where the arithmetic says twice. Computing forward again then
looks cheaper than it is. ``--no-onednn`` takes PyTorch's own convolutions, slow in both directions alike, in which a
recomputation has its full price (checkpoint 1.29 instead of 1.07) but slices gain from the caches; ``--block conv`` has
only convolutions that oneDNN does well. The line below the table says how long backward takes in the run. Strategy
`offload` has nowhere to go on a CPU: its price is the bus.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import msgspec
import torch
import typer
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from membench.cli.output import err, out, plain_table, print_json
from membench.models import build, segmentation_loss, strategies
from membench.network_spec import BlockKind
from membench.plugins import load_plugins
from membench.spec import NetworkSpec, Volume
from membench.units import parse_volume

BASELINE = "plain"
ROUNDS = 3
aten = torch.ops.aten


class StepTime(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's steps beside plain's: ``ratio`` is the median of the rounds, between the two extremes.

    ``operations`` is how many floating-point operations a step has, ``operations_ratio`` that over plain's. Seconds are
    medians. ``error`` says why a strategy could not run; its figures are 0 then.
    """

    strategy: str
    ratio: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0
    operations: int = 0
    operations_ratio: float = 0.0
    forward_seconds: float = 0.0
    backward_seconds: float = 0.0
    error: str = ""


def compare(
    network: NetworkSpec,
    volume: Volume,
    names: Sequence[str],
    *,
    device: str = "cpu",
    rounds: int = ROUNDS,
    threads: int = 1,
) -> list[StepTime]:
    """Time the strategies (and plain, which comes first) against each other; see the module's first lines.

    A strategy that fails in its first step, which is not timed, gets a row that says why, and the others go on.
    """
    torch.set_num_threads(threads)
    names = list(dict.fromkeys([BASELINE, *names]))
    runners, errors = _warmed_up(network, volume, names, device)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    with err().status("") as status:
        for number in range(rounds):
            status.update(f"round {number + 1} of {rounds}, {len(runners)} strategies …")
            # Forwards and backwards in turn: what grows in the course of a round must not always meet the same.
            for name in list(runners)[:: 1 if number % 2 == 0 else -1]:
                times[name].append(runners[name].step())
    return [
        StepTime(strategy=name, error=errors[name]) if name in errors else _summary(runners, times, name)
        for name in names
    ]


def count_operations(step: Callable[[], object]) -> int:
    """The floating-point operations of the products and convolutions in ``step``, in its backward passes too."""
    formulas = {aten.convolution_backward: _convolution_backward, aten.baddbmm_: _product_in_place}
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with counter:
        step()
    return counter.get_total_flops()


def _convolution_backward(gradient: Any, x: Any, weight: Any, *rest: Any, out_shape: Any = None) -> int:
    """Each gradient that is asked for takes a product for every product of the convolution itself."""
    transposed, asked_for = rest[4], rest[7]
    # The weight's shape knows the groups.
    return int(asked_for[0] + asked_for[1]) * conv_flop_count(x, weight, gradient, transposed)


def _product_in_place(target: Any, a: Any, b: Any, *, out_shape: Any = None, **_: Any) -> int:
    batch, rows, inner = a
    return 2 * int(batch) * int(rows) * int(inner) * int(b[2])


class _NoModules(nullcontext[None]):
    """In place of what tells the counter which module it is in, and cannot be in a step that differentiates parts."""

    parents = frozenset({"Global"})


class _Runner:
    """One strategy's network and what it is trained with."""

    def __init__(self, network: NetworkSpec, volume: Volume, strategy: str, device: str) -> None:
        torch.manual_seed(0)
        self.operations = 0
        self._device = torch.device(device)
        self._network = build(network, strategy, device=self._device)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=1e-3)
        self._images = torch.randn(1, network.in_channels, *volume, device=self._device)
        self._target = torch.randint(2, (1, network.out_channels, *volume), dtype=torch.uint8, device=self._device)

    def step(self) -> tuple[float, float]:
        """Train once; seconds until the loss is there, and from there to the end."""
        started = self._now()
        loss = segmentation_loss(self._network(self._images), self._target)
        half = self._now()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._optimizer.zero_grad()
        return half - started, self._now() - half

    def warm_up(self) -> None:
        self.operations = count_operations(self.step)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif torch.get_num_threads() == 1:
            return time.process_time()
        return time.perf_counter()


def _warmed_up(
    network: NetworkSpec, volume: Volume, names: Sequence[str], device: str
) -> tuple[dict[str, _Runner], dict[str, str]]:
    runners, errors = {}, {}
    for name in names:
        try:
            runner = _Runner(network, volume, name, device)
            runner.warm_up()
            runners[name] = runner
        except Exception as error:
            if name == BASELINE:
                raise
            errors[name] = " ".join(f"{type(error).__name__}: {error}".split())
    return runners, errors


def _summary(runners: dict[str, _Runner], times: dict[str, list[tuple[float, float]]], name: str) -> StepTime:
    ratios = [sum(own) / sum(plain) for own, plain in zip(times[name], times[BASELINE], strict=True)]
    forward, backward = (statistics.median(part) for part in zip(*times[name], strict=True))
    return StepTime(
        strategy=name,
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        operations=runners[name].operations,
        operations_ratio=runners[name].operations / runners[BASELINE].operations,
        forward_seconds=forward,
        backward_seconds=backward,
    )


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
    found = {on: compare(network, voxels, names, device=on, rounds=rounds, threads=threads) for on in devices}
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
