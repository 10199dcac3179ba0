"""The program starts without the libraries that take seconds to import."""

import subprocess
import sys

import pytest
from running import Run

from membench import __version__
from membench.cli import COMMANDS

HEAVY = {"torch", "pandas", "numpy", "matplotlib", "jinja2"}


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, membench.cli; membench.cli.main(['measure', '--help']); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines())
    assert "membench.probe" in loaded
    assert loaded & HEAVY == set()


def test_version(program: Run) -> None:
    assert program("--version") == (0, f"membench {__version__}\n", "")


def test_the_commands_are_told_whole_at_80_columns(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = cli("--help").out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(commands) == len(COMMANDS)
    for line in commands:
        assert line.endswith(".")
        assert not line.endswith("...")


def test_without_a_command_the_commands_are_listed(cli: Run) -> None:
    ended = cli()
    assert ended.code == 0
    for name in ("sweep", "measure", "search", "devices", "report", "doctor"):
        assert f"\n  {name} " in ended.out
