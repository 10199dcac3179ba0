"""Two ranks on this machine, over gloo: forked from here, which spares them the imports."""

import multiprocessing
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small import KilledAfter, KilledError, losses, prepared, small
from torch.distributed.tensor import DTensor

from membench.train.data import Prepared
from membench.train.distributed import Ranks, joined
from membench.train.result import TrainResult
from membench.train.run import train
from membench.train.spec import Parallel
from membench.train.step import Training

STRATEGIES = ("plain", "reversible", "reversible-sliced")


def on_two_ranks(work: Callable[[Ranks], Any]) -> list[Any]:
    """What the work returns on each."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    context = multiprocessing.get_context("fork")
    answers = [context.SimpleQueue() for _ in range(2)]

    def run(rank: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (("WORLD_SIZE", 2), ("RANK", rank), ("LOCAL_RANK", rank), ("MASTER_PORT", port)):
                patch.setenv(name, str(value))
            patch.setenv("MASTER_ADDR", "127.0.0.1")
            try:
                with joined("cpu") as ranks:
                    answers[rank].put(work(ranks))
            except Exception:
                traceback.print_exc()

    processes = [context.Process(target=run, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    assert not any(answer.empty() for answer in answers), "a rank failed; see what it printed"
    return [answer.get() for answer in answers]


@pytest.fixture(scope="module")
def data(phantoms: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(phantoms["2021"], tmp_path_factory.mktemp("kept"))


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_ranks_train_as_one_does_on_their_batches(data: Prepared, tmp_path: Path, parallel: Parallel) -> None:
    """Two ranks of one sample each take the samples, and make the steps, of one process with two."""

    def work(ranks: Ranks) -> list[TrainResult]:
        return [
            train(small(strategy=name, parallel=parallel, steps=3, overlap=0.0), data, tmp_path / name, ranks)
            for name in STRATEGIES
        ]

    two = on_two_ranks(work)
    one = train(small(strategy="plain", batch=2, steps=3, overlap=0.0), data, tmp_path / "one", Ranks())
    assert losses(one)[0] != losses(one)[2]
    for results in two:
        for result in results:
            assert losses(result) == pytest.approx(losses(one), rel=1e-4)
            assert result.final.mean_dice == pytest.approx(one.final.mean_dice, abs=1e-3)


@pytest.mark.slow
def test_a_sharded_training_holds_parts_and_goes_on_from_a_whole_checkpoint(data: Prepared, tmp_path: Path) -> None:
    spec = small(parallel="fsdp2", checkpoint_every=2, evaluate_every=1, accumulate=2, steps=4, overlap=0.0)

    def held(ranks: Ranks) -> int:
        parameters = list(Training(spec, ranks.device, ranks.count).network.parameters())
        assert all(isinstance(parameter, DTensor) for parameter in parameters)
        return sum(parameter.to_local().numel() for parameter in parameters)  # type: ignore[attr-defined]

    def work(ranks: Ranks) -> tuple[int, list[float], list[float]]:
        undisturbed = train(spec, data, tmp_path / "undisturbed", ranks)
        with pytest.raises(KilledError):
            train(spec, data, tmp_path / "killed", ranks, watcher=KilledAfter(3))
        return held(ranks), losses(undisturbed), losses(train(spec, data, tmp_path / "killed", ranks))

    answers = on_two_ranks(work)
    for _, undisturbed, resumed in answers:
        assert resumed == undisturbed
    whole = {name: weight.shape for name, weight in Training(spec, torch.device("cpu")).network.state_dict().items()}
    kept = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["state"]
    assert {name: weight.shape for name, weight in kept["network"].items()} == whole
    assert {name: state["exp_avg"].shape for name, state in kept["optimizer"]["state"].items()} == whole
    assert sum(count for count, _, _ in answers) == sum(shape.numel() for shape in whole.values())
