"""Recorded probes, each once for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from membench.device import resolve
from membench.probe import Prober
from membench.profile import Analysis, record
from membench.spec import NetworkSpec, ProbeSpec

Record = Callable[[ProbeSpec], Analysis]
SMALL = ProbeSpec(network=NetworkSpec(base_channels=16, stages=3, blocks=1), volume=(32, 32, 32), strategy="plain")


@pytest.fixture(scope="session")
def prober() -> Iterator[Prober]:
    with Prober(resolve("a100-40gb")) as prober:
        yield prober


@pytest.fixture(scope="session")
def recorded(prober: Prober, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Records a probe; the snapshot is a file of its name in a folder of this session."""
    folder, known = tmp_path_factory.mktemp("snapshots"), dict[str, Analysis]()

    def run(spec: ProbeSpec) -> Analysis:
        if spec.key() not in known:
            known[spec.key()] = record(spec, prober, snapshot_of(spec, folder))
        return known[spec.key()]

    return run


def snapshot_of(spec: ProbeSpec, folder: Path) -> Path:
    return folder / f"{spec.key()}.pickle"
