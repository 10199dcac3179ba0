"""The emulated device's memory without PyTorch: any sequence of calls is answered as a simple model answers it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from membench.device import find_card
from membench.device.emulated import library_paths

FUZZ = Path(__file__).with_name("native") / "fuzz.py"
STEPS = 3000


@pytest.mark.parametrize(("seed", "ascend"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_any_sequence_is_answered_as_by_the_model(seed: int, ascend: int) -> None:
    described = f"{find_card('t4-16gb')[1].describe()};addresses_ascend={ascend}"
    environment = {**os.environ, "MEMBENCH_DEVICE": described}
    command = [sys.executable, FUZZ, library_paths()[0], str(seed), str(STEPS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-2000:]}"
