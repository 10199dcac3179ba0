"""The path of a real GPU, whole, on a machine without one: the emulated runtime stands in for the card and the driver.

Here the *command* runs in the emulator's environment. So the driver that it asks for GPUs is there and shows the card,
and the process that it starts for probes, to which it adds nothing for a real device, finds its CUDA device.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from running import Ended, Run

from membench.device import find_card
from membench.device.emulated import environment

CARD = "rtx-3090-24gb"
PROBE = ("measure", "--volume", "32x32x32", "--base-channels", "16", "--stages", "3", "--json")
SEARCH = (
    *("search", "--axis", "batch", "--strategy", "plain", "--strategy", "reversible", "--budget", "64MiB"),
    *("--volume", "16x16x16", "--base-channels", "16", "--stages", "2", "--json"),
)

pytestmark = pytest.mark.slow


@pytest.fixture
def on_card(program: Run) -> Run:
    """Runs the program on a machine that has the card."""

    def run(*arguments: str) -> Ended:
        return program(*arguments, **environment(find_card(CARD)[1]))

    return run


def without_device(measurement: dict[str, Any]) -> dict[str, Any]:
    """What must be the same on the real card and on the emulated one."""
    spec = {name: value for name, value in measurement["spec"].items() if name != "device"}
    rest = {name: value for name, value in measurement.items() if name not in ("device", "seconds")}
    return {**rest, "spec": spec}


@pytest.mark.parametrize(
    "device", [(), ("--device", "cuda"), ("--device", "cuda:0")], ids=["default", "cuda", "cuda:0"]
)
def test_measure_runs_on_the_gpu(on_card: Run, program: Run, device: tuple[str, ...]) -> None:
    ended = on_card(*PROBE, *device, "--budget", "4GiB")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    card = find_card(CARD)[1]
    assert found["device"] == {
        "name": "cuda",
        "kind": "real",
        "title": card.name,
        "total_bytes": card.total_bytes,
        "compute_capability": card.compute_capability,
        "multiprocessors": card.multiprocessors,
    }
    assert found["spec"]["device"] == "cuda"

    emulated = json.loads(program(*PROBE, "--device", CARD, "--budget", "4GiB").out)
    assert emulated["device"]["kind"] == "emulated"
    assert without_device(found) == without_device(emulated)
    assert found["peak_allocated_bytes"] > 0


def test_without_a_budget_the_card_is_the_limit(on_card: Run) -> None:
    ended = on_card("measure", "--volume", "256", "--strategy", "plain", "--json")
    assert ended.code == 3, ended.err
    found, card = json.loads(ended.out), find_card(CARD)[1]
    assert f"GPU 0 has a total capacity of {card.total_bytes / 2**30:.2f} GiB" in found["message"]
    assert 0.9 * card.total_bytes < found["peak_reserved_bytes"] <= card.usable_bytes


@pytest.mark.parametrize("device", [(), ("--device", "cuda")], ids=["default", "cuda"])
def test_search_runs_on_the_gpu(on_card: Run, program: Run, device: tuple[str, ...]) -> None:
    ended = on_card(*SEARCH, *device)
    assert ended.code == 0, ended.err
    found, emulated = json.loads(ended.out), json.loads(program(*SEARCH, "--device", CARD).out)
    for edge in ("largest_fit", "smallest_unfit"):
        there, here = found[edge], emulated[edge]
        assert there["measurement"]["device"]["kind"] == "real"
        assert there["value"] == here["value"]
        assert without_device(there["measurement"]) == without_device(here["measurement"])
    assert found["ratio_to_plain"] == emulated["ratio_to_plain"] > 1


def test_the_budget_is_respected(on_card: Run) -> None:
    fitting = json.loads(on_card(*PROBE, "--strategy", "plain").out)
    budget = fitting["peak_reserved_bytes"]
    exact = on_card(*PROBE, "--strategy", "plain", "--budget", str(budget))
    tight = on_card(*PROBE, "--strategy", "plain", "--budget", str(budget - (20 << 20)))
    assert (exact.code, tight.code) == (0, 3)
    found = json.loads(tight.out)
    assert found["status"] == "oom"
    assert found["peak_reserved_bytes"] <= budget - (20 << 20)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--budget", "25GiB"), "budget 25.00 GiB is larger than what cuda offers, 23."),
        (("--device", "cuda:1"), "there is no device cuda:1; this machine has 1, numbered from 0"),
    ],
)
def test_what_the_gpu_does_not_have_is_refused(on_card: Run, arguments: tuple[str, ...], reason: str) -> None:
    ended = on_card(*PROBE, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"membench: {reason}")
    assert ended.err.count("\n") == 1


def test_a_cpu_build_of_pytorch_says_what_to_install(program: Run, tmp_path: Path) -> None:
    torch = tmp_path / "torch"
    torch.mkdir()
    (torch / "__init__.py").touch()
    (torch / "version.py").write_text("cuda: Optional[str] = None\n")
    ended = program(*PROBE, **environment(find_card(CARD)[1]), PYTHONPATH=str(tmp_path))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("membench: this PyTorch is a CPU-only build; pip install --force-reinstall")
