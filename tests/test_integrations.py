"""The files that make membench usable from GitHub Actions and pre-commit."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from pre_commit.clientlib import load_manifest

ROOT = Path(__file__).parents[1]
# Stands in for python3: it writes down its arguments, one a line, and ends as a check that found a regression.
PYTHON = """#!/bin/sh
printf '%s\\n' "$@" >> calls
case "$*" in
  *--version*) exit ${INSTALLED:-0} ;;
  *"pip install"*) exit 0 ;;
esac
while [ "$1" != --output ]; do shift; done
echo '::error file=a.py,line=1::grew' > "$2"
exit 1
"""


@pytest.mark.parametrize("installed", [True, False])
def test_the_action(tmp_path: Path, installed: bool) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    (step,) = action["runs"]["steps"]
    assert action["runs"]["using"] == "composite"
    assert "${{" not in step["run"]  # what a user gives reaches the shell as variables alone
    assert set(step["env"].values()) == {
        f"${{{{ inputs.{name} }}}}" for name in action["inputs"] if name != "working-directory"
    }
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "CONFIG": "my $(cases).toml",
        "FAIL_ON": "peak:5%\n\nreserved:64MiB\n",
        "ALLOW": "true",
        "GITHUB_ACTION_PATH": "/the action",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "INSTALLED": "0" if installed else "1",
    }
    done = subprocess.run(
        ["bash", "-c", step["run"]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "::error file=a.py,line=1::grew\n"), done.stderr
    assert (tmp_path / "output").read_text() == "exit-code=1\n"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert ("/the action" in calls) is not installed
    given = ["--config", "my $(cases).toml", "--allow-environment-change", "--fail-on", "peak:5%"]
    assert calls[-7:] == [*given, "--fail-on", "reserved:64MiB"]


def test_the_hook_is_one_that_pre_commit_reads() -> None:
    (hook,) = load_manifest(ROOT / ".pre-commit-hooks.yaml")
    assert (hook["entry"], hook["pass_filenames"]) == ("membench check", False)
