"""A sweep of a network of the user's own, described by a preset."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from running import Run

from membench.spec import ProbeSpec

PRESET = """
title = "Tokens"
device = "t4"
budgets = ["64MiB", "96MiB"]
[model]
factory = "tokens:Mixer"
arguments = { width = 128 }
inputs = ["{batch}x{nTokens}x128"]
values = { nTokens = 512 }
[[variant]]
strategy = "plain"
baseline = true
[[variant]]
strategy = "offload"
[[search]]
axis = "nTokens"
multiple = 4096
[[search]]
axis = "batch"
multiple = 8
limit = 64
"""
MODULE = """
from torch import nn

class Mixer(nn.Sequential):
    def __init__(self, width):
        super().__init__(*(layer for _ in range(4) for layer in (nn.Linear(width, width), nn.GELU())))
"""


@pytest.fixture
def preset(tmp_path: Path) -> str:
    (tmp_path / "tokens.py").write_text(MODULE)
    path = tmp_path / "tokens.toml"
    path.write_text(PRESET)
    return str(path)


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_axes_and_two_budgets_on_the_emulated_device(program: Run, tmp_path: Path, preset: str) -> None:
    ended = program("sweep", "--preset", preset, "--jobs", "1", "--out", "out", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["complete"]

    searches = table(tmp_path / "out" / "searches.csv")
    assert [(row["axis"], row["variant"], int(row["budget_bytes"]) >> 20) for row in searches] == [
        (axis, variant, budget)
        for budget in (64, 96)
        for axis in ("batch", "nTokens")
        for variant in ("plain", "offload")
    ]
    assert all(row["certified"] == "True" or row["limit_reached"] == "True" for row in searches)
    for plain, offload in zip(searches[::2], searches[1::2], strict=True):
        assert plain["certified"] == "True"
        assert float(offload["ratio_to_plain"]) > float(plain["ratio_to_plain"]) == 1.0
    assert {row["fixed_nTokens"] for row in searches if row["axis"] == "batch"} == {"512"}
    probe = table(tmp_path / "out" / "probes.csv")[0]
    assert (probe["network_factory"], probe["network_arguments"]) == ("tokens:Mixer", '{"width":128}')

    page = (tmp_path / "out" / "index.html").read_text()
    assert "tokens:Mixer(width=128), input {batch}x{nTokens}x128, nTokens 512" in page
    assert re.search(r"Search \d+: nTokens, offload", page)
    assert (tmp_path / "out" / "memory-nTokens-96MiB.png").is_file()
    for row in table(tmp_path / "out" / "probes.csv"):
        assert shlex.split(row["command"])[-2] == "--set"


def test_nothing_else_is_asked_of_it(cli: Run, probes: list[ProbeSpec], preset: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    ended = cli("sweep", "--preset", preset, "--axis", "batch", "--strategy", "plain", "--out", out, "--budget", "8GiB")
    assert ended.code == 0, ended.err
    assert {(probe.strategy, probe.budget, probe.network.factory) for probe in probes} == {
        ("plain", 8 << 30, "tokens:Mixer")
    }
    refused = cli("sweep", "--preset", preset, "--strategy", "reversible", "--out", out)
    assert refused.code == 2
    assert "strategy plain or offload, not reversible" in refused.err
