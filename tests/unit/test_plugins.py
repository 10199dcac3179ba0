"""Strategies of the user's own, known to the process that probes."""

from pathlib import Path

import pytest

from membench.device import resolve
from membench.errors import MembenchError, UsageError
from membench.probe import Prober
from membench.spec import NetworkSpec, ProbeSpec

PLUGIN = """
import torch
from membench.models import get_strategy, register


class Hoarder:
    def check(self, network):
        pass

    def run(self, blocks, x):
        self.hoard = torch.empty(64 << 20, dtype=torch.uint8, device=x.device)
        return get_strategy("plain").run(blocks, x)


register("hoarder", Hoarder())
"""
SMALL = NetworkSpec(base_channels=16, stages=2, blocks=1)


def _probe(strategy: str) -> ProbeSpec:
    return ProbeSpec(network=SMALL, volume=(16, 16, 16), device="a100-40gb", strategy=strategy)


@pytest.mark.slow
def test_a_plugins_strategy_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hoarding.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MEMBENCH_PLUGINS", "json, hoarding,")
    with Prober(resolve("a100-40gb")) as prober:
        plain, hoarder = prober(_probe("plain")), prober(_probe("hoarder"))
    assert plain.fits
    assert hoarder.fits
    assert hoarder.peak_allocated_bytes >= plain.peak_allocated_bytes + (64 << 20)
    # Another process does not have it.
    monkeypatch.delenv("MEMBENCH_PLUGINS")
    with Prober(resolve("a100-40gb")) as prober, pytest.raises(UsageError, match="no strategy 'hoarder'"):
        prober(_probe("hoarder"))


def test_a_plugin_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBENCH_PLUGINS", "no_such_plugin")
    with (
        pytest.raises(MembenchError, match="No module named 'no_such_plugin'"),
        Prober(resolve("a100-40gb")) as prober,
    ):
        prober(_probe("plain"))
