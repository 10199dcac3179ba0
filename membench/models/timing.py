"""What a memory strategy costs in time: full training steps, alternating in one process, against `plain`.

A round is one step (forward, loss, backward, Adam) of every strategy. The ratio is taken within a round, and the median
of the rounds is reported. On one CPU thread the time is the process's CPU time: that of a machine that does nothing
else. With more threads, and on a GPU, it is wall time.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
import torch

from membench.models.build import build
from membench.models.cost import count_operations
from membench.models.loss import segmentation_loss
from membench.spec import NetworkSpec, Volume

BASELINE = "plain"
ROUNDS = 3


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
    tell: Callable[[str], None] = lambda words: None,
) -> list[StepTime]:
    """Time the strategies (and plain, which comes first) against each other; ``tell`` is told how far it is.

    A strategy that fails in its first step, which is not timed, gets a row that says why, and the others go on.

    Raises:
        UsageError: the network cannot be built, or a strategy is not known or cannot run it, if it is plain.
    """
    torch.set_num_threads(threads)
    names = list(dict.fromkeys([BASELINE, *names]))
    runners, errors = _warmed_up(network, volume, names, device)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}, {len(runners)} strategies …")
        # Forwards and backwards in turn: what grows in the course of a round must not always meet the same.
        for name in list(runners)[:: 1 if number % 2 == 0 else -1]:
            times[name].append(runners[name].step())
    return [
        StepTime(strategy=name, error=errors[name]) if name in errors else _summary(runners, times, name)
        for name in names
    ]


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
