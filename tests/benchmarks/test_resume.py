from pathlib import Path

import pytest
import resume


@pytest.mark.slow
def test_a_killed_sweep_ends_with_the_same_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert resume.main(["--kills", "1", "--seed", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert sum("killed after" in line for line in said) == 1
    assert said[-1].startswith("1 kills of ")
    assert said[-1].endswith("all files the same")


def test_a_difference_is_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(preset: str, folder: Path) -> float:
        folder.mkdir()
        for name in resume.FILES:
            (folder / name).write_text(folder.name if name == "probes.csv" else "")
        return 1.0

    def disturb(preset: str, folder: Path, kills: int, *_: object) -> int:
        finish(preset, folder)
        return kills

    monkeypatch.setattr(resume, "finish", finish)
    monkeypatch.setattr(resume, "disturb", disturb)
    assert resume.main([]) == 1
    assert "DIFFERENT probes.csv" in capsys.readouterr().out
