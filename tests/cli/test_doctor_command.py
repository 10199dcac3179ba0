import json

import pytest
from running import Run

from membench.spec import ProbeSpec


@pytest.mark.slow
def test_the_emulated_step_passes(program: Run) -> None:
    ended = program("doctor", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["emulator_built"] is True
    assert found["missing_calls"] == []
    assert found["self_check"]["status"] == "fits"
    assert found["self_check"]["peak_reserved_bytes"] > 0
    assert {"torch", "cuda", "cudnn"} <= set(found["versions"])
    how, times = found["calls"]["cudaMalloc"]
    assert how == "exact"
    assert times > 0
    assert any(how == "library" for how, _ in found["calls"].values())


def test_verbose_shows_the_log_by_answer(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("doctor", "--verbose")
    assert ended.code == 0
    words = [line.split() for line in ended.out.splitlines()]
    assert words.index(["cudaMalloc", "3"]) < words.index(["cudnnBackendFinalize", "2"])
    assert "library, by the real library, for the described card: 1 calls" in ended.out
    assert "refused, not modelled: ends the probe: no calls" in ended.out
    assert "cudaMalloc" not in cli("doctor").out


def test_calls_that_the_emulated_device_does_not_know_are_named(
    cli: Run, probes: list[ProbeSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("membench.cli.doctor.missing_calls", lambda: ("cudaNew", "cudnnNew"))
    ended = cli("doctor")
    assert ended.code == 0, "the step that was checked does not make them"
    assert "does not know cudaNew, cudnnNew" in " ".join(ended.out.split())
