"""The recordings benchmark: what is missing is told, and what is there is compared on the emulated device."""

import json
from pathlib import Path

import msgspec
import pytest
import recordings
from recordings import Recording

OWN = Recording(
    owner="me",
    repository="mine",
    file="there.pickle",
    step="attention",
    script="attention.py",
    card="rtx-3090-24gb",
    versions="torch",
)


def test_a_clone_that_is_missing_is_told_and_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recordings.main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for recording in recordings.RECORDINGS:
        assert f"missing: git clone https://{recording.source} {tmp_path / recording.owner}\n" in printed
    assert "0 recordings: 0 of 0 events identical" in printed


@pytest.mark.slow
def test_a_recording_agrees_with_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for one that was made on a GPU: the emulated device's own history, once whole and once cut short."""
    clone = tmp_path / "me"
    clone.mkdir()
    other_size = msgspec.structs.replace(OWN, file="shorter.pickle")
    monkeypatch.setattr(recordings, "RECORDINGS", (OWN, other_size))
    _record(tmp_path, clone / "there.pickle", 4096)
    _record(tmp_path, clone / "shorter.pickle", 2048)
    assert recordings.main([str(tmp_path), "--json"]) == 1
    same, differs = json.loads(capsys.readouterr().out)
    assert same["agreement"]["recorded_events"] == same["agreement"]["identical"] == 71
    assert same["agreement"]["first_difference"] is None
    first = differs["agreement"]["first_difference"]
    assert (first["position"], first["recorded"]) == (1, "segment_alloc 2097152")
    assert first["emulated"] == "segment_alloc 20971520"
    assert "attention.py:" in first["recorded_line"]


def _record(folder: Path, file: Path, length: int) -> None:
    """Record the attention of ``replays/attention.py``, with another length, on the emulated card."""
    script = (recordings.STEPS / "attention.py").read_text().replace("= 8, 4096, 16", f"= 8, {length}, 16")
    changed = folder / "attention.py"
    changed.write_text(script)
    assert recordings.run(OWN, changed, folder, file) == ""
