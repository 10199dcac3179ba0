"""Whatever the installed PyTorch calls is answered or refused by the emulated device, never left to chance."""

import re
import subprocess
from pathlib import Path

import pytest

import membench.device.emulator
from membench.device import symbols
from membench.device.emulated import library_paths
from membench.device.symbols import LEFT_TO_THE_LIBRARY, exported_calls, missing_calls, needed_calls
from membench.errors import MembenchError

SOURCES = Path(membench.device.emulator.__file__).parent
ENTRY_POINT = re.compile(r'visibility\("default"\)\)\)\s+[\w\s*]*?\**(\w+)\(')


def test_every_call_that_torch_can_make_is_known() -> None:
    needed = needed_calls()
    assert all(needed.values()), "the pattern finds what each library calls"
    for library, calls in needed.items():
        assert calls - exported_calls() - LEFT_TO_THE_LIBRARY == set(), library


def test_a_call_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "exported_calls", lambda: exported_calls() - {"cudaMalloc", "cufftCreate"})
    assert missing_calls() == ("cudaMalloc", "cufftCreate")


def test_without_nm_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MembenchError, match="nm was not found"):
        missing_calls()


@pytest.mark.parametrize(
    ("library", "chosen"),
    [(0, lambda name: name != "nvml.c"), (1, lambda name: name == "nvml.c")],
    ids=["cuda", "nvml"],
)
def test_only_entry_points_are_exported(library: int, chosen: object) -> None:
    sources = [path for path in SOURCES.glob("*.c") if chosen(path.name)]
    command = ["gcc", "-std=gnu11", "-E", "-P", *sources]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    listed = ["nm", "-D", "--defined-only", library_paths()[library]]
    exported = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
    assert {line.split()[-1] for line in exported} == set(ENTRY_POINT.findall(text))
