"""Recorded probes, each once for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded_probes import Record, Snapshot

from membench.device import resolve
from membench.probe import Prober
from membench.profile import Analysis, record
from membench.spec import ProbeSpec


@pytest.fixture(scope="session")
def prober() -> Iterator[Prober]:
    with Prober(resolve("a100-40gb")) as prober:
        yield prober


@pytest.fixture(scope="session")
def snapshot(prober: Prober, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Records a probe; the file of its snapshot."""
    folder, known = tmp_path_factory.mktemp("snapshots"), dict[str, Analysis]()

    def run(spec: ProbeSpec) -> tuple[Analysis, Path]:
        file = folder / f"{spec.key()}.pickle"
        if spec.key() not in known:
            known[spec.key()] = record(spec, prober, file)
        return known[spec.key()], file

    return run


@pytest.fixture(scope="session")
def recorded(snapshot: Snapshot) -> Record:
    """Records a probe and analyses it."""
    return lambda spec: snapshot(spec)[0]
