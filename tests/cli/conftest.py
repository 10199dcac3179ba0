"""Running the program: the real one in a process of its own, or in this process with a made-up prober."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import Ended, FakeProber, Run, command

from membench.cli import main
from membench.spec import ProbeSpec


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Runs the real program in a folder of its own."""

    def run(*arguments: str, **environment: str) -> Ended:
        done = subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=180,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[ProbeSpec]:
    """Puts the made-up prober in place; what it is asked is recorded here."""
    asked: list[ProbeSpec] = []
    monkeypatch.setattr(FakeProber, "asked", asked, raising=False)
    for module in ("measure", "search", "sweep", "recommend", "doctor", "check", "plan_nnunet"):
        monkeypatch.setattr(sys.modules[f"membench.cli.{module}"], "Prober", FakeProber)
    return asked


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process; it writes for 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(arguments)
        return Ended(code, *capsys.readouterr())

    return run
