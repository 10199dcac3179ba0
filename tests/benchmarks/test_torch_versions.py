import subprocess
import sys
from pathlib import Path

import pytest
import torch_versions
from torch_versions import Release, chosen_versions, examine, install, main, markdown

LISTED = """torch (2.15.0)
Available versions: 2.15.0, 2.13.0+cpu, 2.13.0, 2.9.1, 2.11.0, 2.12.1, 1.13.1
  INSTALLED: 2.14.1
"""


def test_releases_are_those_from_the_oldest_on() -> None:
    assert chosen_versions(LISTED) == ["2.11.0", "2.12.1", "2.13.0", "2.15.0"]
    assert chosen_versions("nothing") == []


def test_a_release_that_cannot_be_installed_is_told_in_one_line(tmp_path: Path) -> None:
    pip = tmp_path / "python"
    pip.write_text("#!/bin/sh\necho 'ERROR: No torch at https://host/simple' >&2; echo more >&2; exit 1\n")
    pip.chmod(0o755)
    assert install(pip, "2.99.0") == "No torch at …"


@pytest.mark.parametrize(
    ("cuda", "tests", "rows", "status"),
    [
        ("2.12.0 None 0", "", "", "skipped"),
        ("2.12.0+cu128 12.8 90000", "", "", "skipped"),
        ("2.12.0+cu130 13.0 92400", "60 passed", "50 run, 2 refused", "passed"),
        ("2.12.0+cu130 13.0 92400", "1 failed, 59 passed test_x", "50 run, 2 refused", "failed"),
        ("2.12.0+cu130 13.0 92400", "60 passed", "49 run, 2 refused, fail: norms.batch", "failed"),
        ("2.12.0+cu130 13.0 92400", "the tests did not run", "50 run, 2 refused", "failed"),
    ],
)
def test_a_release_passes_with_all_its_tests_and_rows(
    monkeypatch: pytest.MonkeyPatch, cuda: str, tests: str, rows: str, status: str
) -> None:
    monkeypatch.setattr(torch_versions.venv, "create", lambda *_, **__: None)
    monkeypatch.setattr(torch_versions, "install", lambda *_: "")
    monkeypatch.setattr(torch_versions, "told", lambda *_: cuda)
    monkeypatch.setattr(torch_versions, "run_tests", lambda *_: tests)
    monkeypatch.setattr(torch_versions, "run_rows", lambda *_: rows)
    found = examine("2.12.0")
    assert (found.status, found.torch) == (status, cuda.split()[0])


def test_only_a_failure_is_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for status, code in (("passed", 0), ("skipped", 0), ("failed", 1)):
        monkeypatch.setattr(torch_versions, "examine", lambda version, s=status: Release(torch=version, status=s))
        assert main(["2.12.0"]) == code
    assert "| 2.12.0 |  |  | failed |  |  |" in capsys.readouterr().out
    assert markdown([])[1].startswith("|---")


def test_it_says_how_it_is_called() -> None:
    done = subprocess.run([sys.executable, torch_versions.__file__, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "releases of torch" in done.stdout
