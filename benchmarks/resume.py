"""Sweeps that are killed again and again, beside an undisturbed one: python benchmarks/resume.py [--kills N] [--seed N]

`membench sweep` is killed with SIGKILL at random moments and run again, until it ends; one that ends before it was
killed often enough is followed by another in a new folder. Exit code: 0 the files of each are those of the undisturbed
sweep byte for byte, 1 they are not.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

FILES = ("searches.csv", "probes.csv", "claims.json")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=10, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--preset", default="quick")
    chosen = parser.parse_args(arguments)
    say = Console(highlight=False, soft_wrap=True).print
    moments = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as root:
        undisturbed = Path(root) / "undisturbed"
        longest = finish(chosen.preset, undisturbed)
        say(f"undisturbed: {longest:.2f} s, {probes_kept(undisturbed)} probes")
        kills, sweeps, equal = 0, 0, True
        while kills < chosen.kills:
            sweeps += 1
            folder = Path(root) / f"sweep {sweeps}"
            kills += disturb(chosen.preset, folder, chosen.kills - kills, lambda: moments.uniform(0.0, longest), say)
            equal &= compare(folder, undisturbed, say)
    say(f"{kills} kills of {sweeps} sweeps: {'all files the same' if equal else 'files DIFFER'}")
    return 0 if equal else 1


def disturb(preset: str, folder: Path, kills: int, moment: Callable[[], float], say: Callable[[str], None]) -> int:
    """Run a sweep to its end, which is killed up to ``kills`` times before that; returns how often it was."""
    for done in range(kills):
        seconds = moment()
        with start(preset, folder) as running:
            try:
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                running.kill()
                say(f"{folder.name}: killed after {seconds:.2f} s, {probes_kept(folder)} probes on disk")
            else:
                check(running)
                return done
    finish(preset, folder)
    return kills


def compare(folder: Path, undisturbed: Path, say: Callable[[str], None]) -> bool:
    """Whether the files of a sweep that ended are those of the undisturbed one."""
    different = [name for name in FILES if (folder / name).read_bytes() != (undisturbed / name).read_bytes()]
    verdict = f"DIFFERENT {', '.join(different)}" if different else f"the same {', '.join(FILES)}"
    say(f"{folder.name}: ended with {probes_kept(folder)} probes, {verdict}")
    return not different


def finish(preset: str, folder: Path) -> float:
    """Run the sweep to its end; returns the seconds that it took."""
    started = time.monotonic()
    with start(preset, folder) as running:
        check(running)
    return time.monotonic() - started


def start(preset: str, folder: Path) -> subprocess.Popen[str]:
    # On the emulated card even where there is a GPU, whose peaks may differ from run to run.
    words = ["membench", "sweep", "--preset", preset, "--device", "a100-40gb", "--out", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def check(running: subprocess.Popen[str]) -> None:
    """Wait for a run that nobody kills."""
    said = running.communicate()[1]
    if running.returncode:
        sys.exit(f"a sweep ended with exit code {running.returncode}:\n{said}")


def probes_kept(folder: Path) -> int:
    results = folder / "results.jsonl"
    return results.read_bytes().count(b"\n") if results.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
