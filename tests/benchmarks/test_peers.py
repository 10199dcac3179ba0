"""The peers compute what every strategy computes, and the table says what was measured, or why it was not."""

import csv
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("memcnn")
pytest.importorskip("revlib")
import peers
import torch
from peers import Peer, behind, markdown, table
from torch import Tensor

from membench.device import resolve
from membench.models import build, segmentation_loss, strategies
from membench.models.timing import StepTime
from membench.plugins import VARIABLE
from membench.result import Measurement, Point, SearchResult
from membench.spec import NetworkSpec, ProbeSpec, SearchSpec
from membench.units import GIB

SMALL = NetworkSpec(base_channels=8, stages=2, norm_groups=2, expansion=2)


@pytest.fixture
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, "PYTHONPATH"):
        monkeypatch.setenv(name, "")  # put back afterwards
    peers._plug_in()
    assert set(peers.PEERS) <= set(strategies())


def _gradients(strategy: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = build(SMALL, strategy).double()
    x = torch.randn(2, 4, 4, 4, 6, dtype=torch.float64).requires_grad_()
    target = torch.randint(2, (2, 3, 4, 4, 6), dtype=torch.uint8)
    segmentation_loss(network(x), target).backward()
    assert x.grad is not None
    return {"input": x.grad, **{name: p.grad for name, p in network.named_parameters() if p.grad is not None}}


@pytest.mark.filterwarnings("ignore")  # the libraries use names that PyTorch has deprecated
@pytest.mark.parametrize("peer", peers.PEERS)
def test_a_peers_gradients_are_those_of_plain(plugged_in: None, peer: str) -> None:
    actual, expected = _gradients(peer), _gradients("plain")
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (actual[name] - gradient).abs().max() <= 1e-9 * gradient.abs().max(), name


def _row(strategy: str, gib: int, side: int, *, ratio: float = 1.0, status: str = "fits", error: str = "") -> Peer:
    def found(voxels: int, reserved: int) -> Measurement:
        probe = ProbeSpec(strategy=strategy, volume=(voxels, voxels, voxels))
        peak = {"peak_reserved_bytes": reserved, "peak_allocated_bytes": reserved // 2}
        return Measurement(spec=probe, status=status, message="broke", versions={"torch": "1"}, **peak)

    fit = Point(value=(side, side, side), extent=side**3, measurement=found(side, 16 * GIB))
    largest = SearchResult(
        search=SearchSpec(axis="volume", probe=ProbeSpec(strategy=strategy)),
        largest_fit=fit if status == "fits" else None,
        smallest_unfit=None,
        limit_reached=False,
        holes=(),
        probes=(fit,),
        failure=None if status == "fits" else fit,
    )
    time = StepTime(
        strategy=strategy,
        ratio=ratio,
        lowest=ratio,
        highest=ratio,
        operations=round(100 * ratio),
        operations_ratio=1.5,
        error=error,
    )
    return Peer(
        strategy=strategy, peaks={64: found(64, gib * GIB), 128: found(128, gib * GIB)}, largest=largest, time=time
    )


def test_what_failed_says_why_in_its_place() -> None:
    rows = [_row("plain", 4, 88), _row("revlib", 2, 1, status="error", error="no")]
    _, plain, revlib = table(rows, 16 * GIB)
    assert plain[:5] == ["plain", "4.00", "2.00", "4.00", "2.00"]
    assert plain[6:] == ["88", "1.00", "1.00", "1.00", "1.50"]
    assert revlib == ["revlib", *["–"] * 10]
    text = markdown(rows, resolve("a100-40gb"), 16 * GIB)
    assert "--device a100-40gb --budget 16GiB`" in text
    assert [line for line in text.splitlines() if line.startswith("- revlib")] == [
        "- revlib: 64³: broke",
        "- revlib: 128³: broke",
        "- revlib: search: broke",
        "- revlib: time: no",
    ]
    assert "memcnn and revlib are ahead of reversible and reversible-sliced: nowhere." in text


def test_where_a_peer_is_ahead_is_told() -> None:
    ahead, level = _row("revlib", 1, 160, ratio=1.1), _row("memcnn", 3, 144, ratio=1.3)
    own = _row("reversible", 2, 152, ratio=1.25)
    assert list(behind([ahead, level, own])) == [
        "reversible reserves more at 64³ than revlib",
        "reversible reserves more at 128³ than revlib",
        "reversible fits a smaller cube than revlib",
        "reversible takes more time than revlib: 1.25 against 1.10",
        "reversible has more operations than revlib: 1.50 against 1.50",
    ]
    unsure = msgspec.structs.replace(own, time=msgspec.structs.replace(own.time, lowest=1.0))
    assert list(behind([ahead, unsure]))[-2].endswith("1.25 against 1.10, within what rounds differ by")
    assert list(behind([level, own])) == []


@pytest.mark.slow
def test_the_script_measures_peers_and_writes_both_files(
    tmp_path: Path, plugged_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "SIDES", (16, 32))
    times = tmp_path / "times.json"
    times.write_bytes(msgspec.json.encode({"strategies": [StepTime(strategy="revlib", ratio=1.25)]}))
    peers.main(device="t4-16gb", budget="1GiB", strategy=["revlib", "reversible"], times=times, results=tmp_path)
    with (tmp_path / "peers-t4-16gb.csv").open(newline="") as file:
        headings, revlib, reversible = csv.reader(file)
    assert headings[6:8] == ["largest side at 1 GiB", "step time (CPU)"]
    assert int(revlib[6]) > 32
    assert float(reversible[4]) < float(revlib[4])
    assert (revlib[7], reversible[7]) == ("1.25", "–")
    assert "| revlib |" in (tmp_path / "peers-t4-16gb.md").read_text()
    assert "- reversible: time: not timed" in (tmp_path / "peers-t4-16gb.md").read_text()
