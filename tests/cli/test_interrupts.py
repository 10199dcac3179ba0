"""Ctrl-C, wherever it meets a command: it ends at once, and what it started ends with it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running import command

PRESET = """
title = "Probes without an end"
budgets = ["1GiB"]
[network]
base_channels = 16
stages = 2
blocks = 1
[probe]
steps = 1000000
[[variant]]
strategy = "plain"
[[variant]]
strategy = "reversible"
[[search]]
axis = "volume"
start = 32
"""
ENDLESS = ("--device", "a100-40gb", "--volume", "32x32x32", "--stages", "2", "--steps", "1000000")


def processes(mark: str) -> list[Path]:
    """The probing processes that were started with the mark in their environment: servers, and the probes they fork."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, words = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"MEMBENCH_MARK={mark}".encode() in environment.split(b"\0") and b"membench.probe.server" in words:
            found.append(process)
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


def interrupted(tmp_path: Path, arguments: tuple[str, ...], count: int) -> tuple[int, float, str]:
    """The command's exit code, how long it took to end, and what it said, when ``count`` processes were at work."""
    mark = str(tmp_path)
    with subprocess.Popen(
        command(*arguments),
        env={**os.environ, "MEMBENCH_MARK": mark},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        wait_for(lambda: len(processes(mark)) >= count or running.poll() is not None)
        time.sleep(0.2)  # until the command knows of what it has started
        started = time.monotonic()
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)
        seconds = time.monotonic() - started
    # A probe is killed by the system when its server is gone, which is a moment later.
    wait_for(lambda: not processes(mark), seconds=1)
    assert said[0] == ""
    return running.returncode, seconds, said[1]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 4], ids=["first server starts", "second server starts", "two probes run"])
def test_a_sweep_ends_at_once(tmp_path: Path, count: int) -> None:
    (tmp_path / "endless.toml").write_text(PRESET)
    arguments = ("sweep", "--preset", "endless.toml", "--device", "a100-40gb", "--jobs", "2", "--out", "out")
    code, seconds, said = interrupted(tmp_path, arguments, count)
    assert code == 130
    assert seconds < 3
    assert said.splitlines()[-1] == (
        "membench: stopped; all that was measured is kept in out, the same command goes on from there"
    )
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", [("measure",), ("search", "--axis", "channels")], ids=["measure", "search"])
@pytest.mark.parametrize("count", [1, 2], ids=["server starts", "probe runs"])
def test_a_probe_ends_at_once(tmp_path: Path, name: tuple[str, ...], count: int) -> None:
    code, seconds, said = interrupted(tmp_path, (*name, *ENDLESS), count)
    assert code == 130
    assert seconds < 3
    assert said == ""
