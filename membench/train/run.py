"""One training, from where it stands to its end."""

import hashlib
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from membench.train.data import Prepared, Samples, numbers
from membench.train.distributed import Ranks
from membench.train.evaluate import score, segment, spacing_of, write_prediction
from membench.train.records import Records
from membench.train.result import Evaluation, Peak, Score, Step, TrainResult
from membench.train.spec import TrainSpec
from membench.train.step import Training

CHECKPOINT_SECONDS = 60.0  # the most training that a crash may cost, a step apart


class Watcher:
    """Is told how a training goes; this one does not care."""

    def started(self, spec: TrainSpec, done: int) -> None:
        """A training begins, or goes on after ``done`` steps."""

    def stepped(self, step: Step) -> None:
        """A step was taken."""

    def stops(self) -> bool:
        """Asked after each step: whether the training shall end here, with a checkpoint."""
        return False

    def evaluating(self, done: int, count: int) -> None:
        """So many of the held-out cases have been evaluated; 0 as it begins."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """All of them have."""


def train(
    spec: TrainSpec,
    data: Prepared,
    folder: Path,
    ranks: Ranks,
    *,
    workers: int = 0,
    rehearsal: Callable[[], Peak | None] = lambda: None,
    watcher: Watcher | None = None,
) -> TrainResult:
    """Train to the end, from the checkpoint in ``folder`` if there is one; a training that has ended is not run again.

    The leading rank writes checkpoint, metrics, result, and the predictions for all held-out cases. Beside those every
    ``checkpoint_every`` steps, there is a checkpoint each minute, and one where the watcher stops it. ``rehearsal``
    gives the peak to report where the device, a CPU, counts none.

    Raises:
        UsageError: the folder is another training's, or the network cannot run as asked.
        MembenchError: a file cannot be read or written.
        KeyboardInterrupt: the watcher of a rank stopped it.
    """
    watcher = watcher or Watcher()
    records = Records(folder, _key(spec, data, ranks), writes=ranks.leads)
    if (ended := records.result()) is not None:
        return ended
    training = Training(spec, ranks.device, ranks.count)
    if (state := records.checkpoint()) is not None:
        training.restore(state)
    watcher.started(spec, training.done)
    peak = _PeakMeter(ranks.device)
    saved = time.monotonic()
    with records:
        for step in _steps(training, data, ranks, workers, peak):
            records.add_step(step)
            watcher.stepped(step)
            last = step.step == spec.steps
            if last or (spec.evaluate_every and step.step % spec.evaluate_every == 0):
                predictions = folder / "predictions" if last else None
                evaluation = evaluate(training, data, ranks, predictions, watcher)
                records.add_evaluation(evaluation)
                watcher.evaluated(evaluation)
            # Every rank must come to the same end.
            asked = ranks.gather((watcher.stops(), time.monotonic() - saved >= CHECKPOINT_SECONDS))
            stops, due = any(stops for stops, _ in asked), asked[0][1]
            if last or stops or due or step.step % spec.checkpoint_every == 0:
                records.save(training.state())
                saved = time.monotonic()
            if stops:
                raise KeyboardInterrupt
        result = TrainResult(
            spec=spec,
            steps=tuple(records.history.steps),
            evaluations=tuple(records.history.evaluations),
            peak=peak.read() or (rehearsal() if ranks.leads else None),
            device=str(ranks.device),
        )
        records.finish(result)
    return result


def evaluate(
    training: Training, data: Prepared, ranks: Ranks, predictions: Path | None, watcher: Watcher
) -> Evaluation:
    """Segment and score every held-out case, each on one of the ranks, and write them into ``predictions`` if given."""
    found: list[Score] = []
    count = len(data.held_out)
    watcher.evaluating(0, count)
    with training.gathered():
        for number in range(ranks.rank, count, ranks.count):
            item, case = data.held_out[number], data.held_out_cases[number]
            regions = segment(training, item["image"])
            found += score(case.name, regions, item["truth"], spacing_of(item["affine"]))
            if predictions:
                write_prediction(predictions, case, data.layout, regions, item["affine"])
            watcher.evaluating(number + 1, count)
    scores = sorted((each for part in ranks.gather(found) for each in part), key=lambda each: each.case)
    return Evaluation(step=training.done, scores=tuple(scores))


def _steps(training: Training, data: Prepared, ranks: Ranks, workers: int, peak: "_PeakMeter") -> Iterator[Step]:
    """Take the steps that are left."""
    spec = training.spec
    wanted = [
        batch for step in range(training.done, spec.steps) for batch in numbers(spec, step, ranks.rank, ranks.count)
    ]
    loader = DataLoader(
        Samples(data.training, spec),
        batch_sampler=wanted,
        num_workers=workers,
        pin_memory=ranks.device.type == "cuda",
        generator=torch.Generator(),  # the default one belongs to the network's dropout
    )
    batches = iter(loader)
    while training.done < spec.steps:
        started, started_cpu, rate = time.perf_counter(), time.process_time(), training.learning_rate
        with peak:
            loss = training.step(_pairs(islice(batches, spec.accumulate)))
        yield Step(
            step=training.done,
            loss=sum(ranks.gather(loss)) / ranks.count,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
            cpu_seconds=time.process_time() - started_cpu,
        )


def _pairs(batches: Iterator[dict[str, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    return ((batch["image"], batch["truth"]) for batch in batches)


class _PeakMeter:
    """Peaks of what runs inside its ``with`` blocks, on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.allocated = self.reserved = 0

    def __enter__(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.allocated = max(self.allocated, torch.cuda.max_memory_allocated(self.device))
            self.reserved = max(self.reserved, torch.cuda.max_memory_reserved(self.device))

    def read(self) -> Peak | None:
        """None on a CPU."""
        if self.device.type != "cuda":
            return None
        return Peak(
            status="fits",
            device=torch.cuda.get_device_name(self.device),
            kind="real",
            allocated_bytes=self.allocated,
            reserved_bytes=self.reserved,
        )


def _key(spec: TrainSpec, data: Prepared, ranks: Ranks) -> str:
    """What a training must share with the one whose folder it goes on in."""
    parts = (spec.key(), str(ranks.count), data.digest)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
