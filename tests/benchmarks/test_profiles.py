"""The benchmark of profiles: of other people's networks too, the categories add up to the peak, to the byte."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_categories_of_five_networks_add_up_to_their_peaks() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "profiles.py"], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()[2:]]
    assert [row[1].split()[0] for row in rows] == ["MONAI", "nnU-Net", "torchvision", "transformers", "ours,"]
    assert all(row[2] == row[3] for row in rows)
