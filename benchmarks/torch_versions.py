"""The emulator's tests with every release of PyTorch it is for: python benchmarks/torch_versions.py [VERSION …]

Asks the package index which releases of torch from 2.11 on it has, installs each in an environment of its own in a
temporary folder (3 GB to download, 6 GB of disk, one after the other), and there runs tests/unit/device and some rows
of benchmarks/coverage.py. A release that cannot be had, or is no CUDA 13 build, is told as such and is no failure.
Exit code: 0 the tests pass with every release that can be had, 1 they do not.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
OLDEST = (2, 11)
TESTING = ("hypothesis", "nvidia-ml-py", "pytest", "pytest-timeout")
ROWS = (
    "convolutions", "norms", "attention", "recurrent", "training", "allocator", "graphs.capture", "graphs.compiled",
    "parallel",
)  # fmt: skip
INSTALL_SECONDS, TEST_SECONDS = 1200, 1200


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one release of torch: ``passed``, ``failed``, or ``skipped`` for what ``reason`` says."""

    torch: str
    status: str
    reason: str = ""
    cuda: str = ""
    cudnn: str = ""
    tests: str = ""
    rows: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="releases of torch (default: all from 2.11 on)")
    parser.add_argument("--python", type=Path, help="test the PyTorch that this interpreter has, and install none")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of Markdown")
    chosen = parser.parse_args(arguments)
    if chosen.python and not chosen.python.exists():
        parser.error(f"{chosen.python} is not there")
    releases = []
    for version in [None] if chosen.python else chosen.versions or served():
        releases.append(examine_installed(chosen.python) if version is None else examine(version))
        sys.stderr.write(f"{row(releases[-1])}\n")
    if chosen.json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(releases), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(markdown(releases)) + "\n")
    return 1 if any(release.status == "failed" for release in releases) else 0


def served() -> list[str]:
    """The releases that the package index has, oldest first."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "torch"], capture_output=True, text=True, check=True
    ).stdout
    return chosen_versions(listed)


def chosen_versions(listed: str) -> list[str]:
    """Of what ``pip index versions`` printed, the releases from `OLDEST` on, oldest first."""
    found = re.search(r"^Available versions: (.*)$", listed, re.MULTILINE)
    versions = [version.strip() for version in found[1].split(",")] if found else []
    numbered = {
        tuple(map(int, version.split("."))): version for version in versions if re.fullmatch(r"[\d.]+", version)
    }
    return [numbered[number] for number in sorted(numbered) if number >= OLDEST]


def examine(version: str) -> Release:
    """Install the release in an environment of its own, and test it there."""
    with tempfile.TemporaryDirectory(prefix="torch-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        problem = install(python, version)
        return Release(torch=version, status="skipped", reason=problem) if problem else examine_installed(python)


def examine_installed(python: Path) -> Release:
    versions = told(
        python, "import torch; print(torch.__version__, torch.version.cuda, torch.backends.cudnn.version())"
    )
    torch, cuda, cudnn = versions.split() or ("?", "None", "")
    if not cuda.startswith("13."):
        reason = "a CPU build" if cuda == "None" else f"built for CUDA {cuda}"
        return Release(torch=torch, status="skipped", reason=reason)
    tests, rows = run_tests(python), run_rows(python)
    passed = bool(re.fullmatch(r"\d+ passed.*", tests)) and "fail" not in rows
    return Release(torch=torch, status="passed" if passed else "failed", cuda=cuda, cudnn=cudnn, tests=tests, rows=rows)


def install(python: Path, version: str) -> str:
    """Install the release and what the tests need; what went wrong in one line, or nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [package for package in project["dependencies"] if not package.startswith("torch")]
    command = [python, "-m", "pip", "install", "-q", f"torch=={version}", *needed, *TESTING]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"could not be installed in {INSTALL_SECONDS // 60} minutes"
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["ERROR: pip failed"]
    return re.sub(r"https?://\S+|file://\S+", "…", errors[0].removeprefix("ERROR: "))


def run_tests(python: Path) -> str:
    """The last line of pytest's report on the emulator's tests, and which of them failed."""
    lines = told(python, *("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/device")).splitlines()
    failed = ", ".join(line.split("::")[1].split(" ")[0] for line in lines if line.startswith("FAILED"))
    return f"{lines[-1].split(' in ')[0]} {failed}".strip() if lines else "the tests did not run"


def run_rows(python: Path) -> str:
    """How many rows of the coverage table run, are refused, or fail (those by name)."""
    try:
        rows = json.loads(told(python, "benchmarks/coverage.py", "--json", *ROWS))
    except ValueError:
        return "the rows fail to run"
    failed = [row["name"] for row in rows if row["verdict"] == "failed"]
    counts = {word: sum(row["verdict"] == word for row in rows) for word in ("runs", "refused")}
    return f"{counts['runs']} run, {counts['refused']} refused" + (f", fail: {', '.join(failed)}" if failed else "")


def told(python: Path, *command: str) -> str:
    """What Python prints, run in the repository; ``command`` is its arguments, or one piece of code."""
    arguments = command if len(command) > 1 else ("-c", *command)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        return subprocess.run(
            [python, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=TEST_SECONDS
        ).stdout.strip()
    except subprocess.TimeoutExpired:
        return ""


def row(r: Release) -> str:
    return f"| {r.torch} | {r.cuda} | {r.cudnn} | {r.status} | {r.tests or r.reason} | {r.rows} |"


def markdown(releases: Sequence[Release]) -> list[str]:
    heading = ["| torch | CUDA | cuDNN | | tests/unit/device | coverage rows |", "|---|---|---|---|---|---|"]
    return [*heading, *map(row, releases)]


if __name__ == "__main__":
    sys.exit(main())
