"""Shared by all tests: running code on the emulated device."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from membench.device import SETTINGS, resolve

RunEmulated = Callable[..., Any]


@pytest.fixture(autouse=True)
def _settings_of_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the import of a library has set in this process, as MONAI's does, is not there for the tests after it."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def run_emulated() -> RunEmulated:
    """Run Python code in a process whose GPU is the emulated card; what it assigns to ``result`` comes back."""

    def run(code: str, card: str = "a100-40gb", **variables: str) -> Any:
        ending = "\nimport json as _json\nprint(_json.dumps(result))"
        done = subprocess.run(
            [sys.executable, "-c", code + ending],
            env=resolve(card).child_environment() | {"OMP_NUM_THREADS": "1"} | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
