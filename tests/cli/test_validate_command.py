"""``membench validate``: the emulated runtime stands in for the card and the driver, as in ``test_real_path``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from running import Run

from membench.device import find_card, resolve
from membench.device.emulated import environment

CARD = "rtx-3090-24gb"
STEP = """
import torch

def step(device):
    layer = torch.nn.Linear(64, 64).to(device)
    optimizer = torch.optim.Adam(layer.parameters())

    def run():
        optimizer.zero_grad()
        layer(torch.randn(8, 64, device=device)).sum().backward()
        optimizer.step()

    return run
"""
RECORD = """
import torch, mine
runs = [mine.step(torch.device("cuda:0")) for _ in range(1)]
runs[0]()
torch.cuda.memory._record_memory_history()
runs[0]()
torch.randn(100, device="cuda")
torch.cuda.memory._dump_snapshot("longer.pickle")
"""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder with a step and a recording of it "on a GPU", which has an allocation more at its end."""
    (tmp_path / "mine.py").write_text(STEP)
    on_card = resolve(CARD).child_environment() | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", RECORD], cwd=tmp_path, env=on_card, check=True, timeout=120)
    return tmp_path


@pytest.mark.slow
def test_a_recording_is_compared_event_by_event(program: Run, recordings: Path) -> None:
    ended = program(
        *(
            "validate",
            "--snapshot",
            str(recordings / "longer.pickle"),
            "--step",
            "mine:step",
            "--emulated",
            CARD,
            "--json",
        ),
        PYTHONPATH=str(recordings),
    )
    assert ended.code == 1, ended.err
    found = json.loads(ended.out)
    assert found["emulated_events"] == found["identical"] > 10
    first = found["first_difference"]
    assert (first["position"], first["recorded"]) == (found["identical"] + 1, "alloc 400")
    assert first["recorded_line"].startswith("<string>:")
    assert first["emulated"] is None
    assert found["recorded_peaks"] == found["emulated_peaks"]


@pytest.mark.slow
def test_a_card_agrees_with_its_own_emulation_and_the_context_is_compared(program: Run, tmp_path: Path) -> None:
    card = msgspec.structs.replace(find_card(CARD)[1], context_bytes=find_card(CARD)[1].context_bytes + (8 << 20))
    ended = program("validate", "--probe", "conv plain", "--json", **environment(card))
    assert ended.code == 0, ended.err
    printed = json.loads(ended.out)
    assert printed.pop("file") == f"validation-{CARD}.json"
    assert printed.pop("agrees") is True
    assert printed == json.loads((tmp_path / f"validation-{CARD}.json").read_text())
    assert (printed["real"]["kind"], printed["emulated"]["name"]) == ("real", CARD)
    assert printed["real_context"]["held_bytes"] - printed["emulated_context"]["held_bytes"] == 8 << 20
    assert {"membench", "torch", "cuda", "cudnn"} <= set(printed["versions"])
    (pair,) = printed["pairs"]
    assert _peaks(pair["real"]) == _peaks(pair["emulated"])
    assert pair["real"]["workspace_bytes"] == pair["emulated"]["workspace_bytes"] >= 0


def _peaks(side: dict[str, Any]) -> list[int]:
    return [side["measurement"][f"peak_{name}_bytes"] for name in ("allocated", "reserved", "requested")]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--step", "mine:step"), 2, "--step is compared with a recording; name its file with --snapshot"),
        (("--snapshot", "none.pickle"), 2, "name the step that was recorded, as --step module:function"),
        (("--snapshot", "none.pickle", "--step", "a:b"), 2, "none.pickle: No such file or directory"),
        (("--snapshot", "x", "--step", "a:b", "--steps", "0"), 2, "there is at least 1 step to compare"),
        (("--probe", "nothing"), 2, "there is no probe 'nothing'; there are mbconv plain, mbconv reversible"),
        (("--device", "t4"), 2, "t4 is an emulated card; --device names the GPU that it is compared with"),
        ((), 1, "no NVIDIA GPU was found on this machine"),
    ],
)
def test_bad_usage(cli: Run, arguments: tuple[str, ...], code: int, reason: str) -> None:
    ended = cli("validate", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"membench: {reason}")
    assert ended.err.count("\n") == 1


def test_a_hostile_recording_is_refused(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pickle"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    ended = cli("validate", "--snapshot", str(path), "--step", "a:b")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"membench: {path} is refused: it names os.system")
