"""The recordings benchmark: what is missing is told, and what is there is compared on the emulated device."""

import json
from pathlib import Path

import msgspec
import pytest
import recordings
from recordings import Recording

from membench.device import resolve
from membench.validate.histories import Agreement, Difference, Peaks

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
    """A stand-in for one that was made on a GPU: the emulated device's own history."""
    clone = tmp_path / "me"
    clone.mkdir()
    monkeypatch.setattr(recordings, "RECORDINGS", (OWN,))
    assert recordings.run(OWN, resolve(OWN.card), clone, clone / "there.pickle") == ""
    assert recordings.main([str(tmp_path), "--json"]) == 0
    (same,) = json.loads(capsys.readouterr().out)
    assert same["agreement"]["recorded_events"] == same["agreement"]["identical"] == 71
    assert same["agreement"]["first_difference"] is None


def test_a_step_that_differs_without_a_known_reason_fails() -> None:
    peaks = Peaks(requested_bytes=1, reserved_bytes=1)
    first = Difference(position=1, recorded="alloc 1", emulated=None, recorded_line="", emulated_line="")
    agreement = Agreement(
        recorded_events=1,
        emulated_events=0,
        identical=0,
        first_difference=first,
        recorded_peaks=peaks,
        emulated_peaks=peaks,
    )
    assert recordings.Compared(recording=OWN, agreement=agreement).failed
    known = msgspec.structs.replace(OWN, difference="an older PyTorch")
    assert not recordings.Compared(recording=known, agreement=agreement).failed
