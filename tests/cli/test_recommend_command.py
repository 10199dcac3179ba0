"""``membench recommend``, and ``auto`` of ``membench measure``."""

import json
from collections.abc import Sequence

import pytest
from running import Run

from membench.recommend import LADDER
from membench.search import Mix
from membench.spec import NetworkSpec, ProbeSpec

MIXES = (
    Mix(strategy="plain", cost=1.0, thrift=(0, 0)),
    Mix(strategy="plain:reversible", cost=1.1, thrift=(0, 1)),
    Mix(strategy="reversible:plain", cost=1.2, thrift=(1, 0)),
    Mix(strategy="reversible", cost=1.3, thrift=(1, 1)),
)
ARGUMENTS = ("--device", "rtx-3090", "--volume", "64", "--stages", "2")


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs as if they had been counted, which takes seconds."""
    monkeypatch.setattr("membench.cli.candidates.network_mixes", lambda *_, **__: MIXES)


def test_the_cheapest_that_fits_for_people(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("recommend", *ARGUMENTS, "--budget", "3GiB")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["Recommended", "reversible:plain"] in lines
    assert ["reversible:plain", "1.200×", "1.00", "GiB", "fits"] in lines
    assert ["plain:reversible", "1.100×", "4.00", "GiB*", "1.00", "GiB"] in lines
    assert "memory limit lifted" in " ".join(ended.out.split())
    assert "membench measure --device rtx-3090-24gb --budget 3GiB --strategy reversible:plain" in " ".join(
        ended.out.split()
    )


def test_what_computes_nothing_twice_is_measured_before_the_thriftiest_are_counted(
    cli: Run, probes: list[ProbeSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Sequence[str]] = []

    def mixes(network: NetworkSpec, strategies: Sequence[str], **_: object) -> tuple[Mix, ...]:
        counted.append(strategies)
        return MIXES

    monkeypatch.setattr("membench.cli.candidates.network_mixes", mixes)
    assert json.loads(cli("recommend", *ARGUMENTS, "--json").out)["recommended"]["strategy"] == "plain"
    assert (counted, [probe.strategy for probe in probes]) == ([LADDER], ["plain"])
    counted.clear()
    probes.clear()
    found = json.loads(cli("recommend", *ARGUMENTS, "--budget", "3GiB", "--json").out)
    assert found["recommended"]["strategy"] == "reversible:plain"
    assert counted == [LADDER, ()]
    limited = [probe.strategy for probe in probes if probe.budget]
    assert limited == [each["strategy"] for each in found["candidates"]]
    assert limited.count("plain") == 1


def test_the_same_for_programs(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("recommend", *ARGUMENTS, "--budget", "3GiB", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["device"]["name"], found["budget_bytes"]) == ("rtx-3090-24gb", 3 * 2**30)
    best = found["recommended"]
    assert (best["strategy"], best["recomputation"], best["peak_reserved_bytes"]) == ("reversible:plain", 1.2, 2**30)
    assert best["measurement"]["spec"]["strategy"] == "reversible:plain"
    (cheaper,) = found["cheaper"]
    assert cheaper == {
        "strategy": "plain:reversible",
        "recomputation": 1.1,
        "time_ratio": None,
        "status": "oom",
        "peak_reserved_bytes": None,
        "peak_reserved_unlimited_bytes": 4 * 2**30,
        "misses_by_bytes": 2**30,
    }
    assert {each["strategy"] for each in found["candidates"]} >= {"plain:reversible", "reversible:plain"}
    assert found["failure"] is None


def test_nothing_fits_is_exit_code_3(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("recommend", *ARGUMENTS, "--budget", "100MiB", "--json")
    assert ended.code == 3
    found = json.loads(ended.out)
    assert found["recommended"] is None
    assert [each["strategy"] for each in found["cheaper"]] == ["reversible"]
    assert cli("measure", *ARGUMENTS, "--strategy", "auto", "--budget", "100MiB").code == 3
    assert "nothing fits" in cli("recommend", *ARGUMENTS, "--budget", "100MiB").out


def test_a_failed_probe_is_exit_code_1(cli: Run, probes: list[ProbeSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (Mix(strategy="broken", cost=1.0, thrift=(0, 0)),)
    monkeypatch.setattr("membench.cli.candidates.network_mixes", lambda *_, **__: broken)
    ended = cli("recommend", *ARGUMENTS)
    assert ended.code == 1
    assert "crashed" in ended.out
    assert cli("recommend", *ARGUMENTS, "--json").code == 1
    assert cli("measure", *ARGUMENTS, "--strategy", "auto").code == 1


def test_auto_measures_what_is_cheapest_and_fits(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("measure", *ARGUMENTS, "--strategy", "auto", "--budget", "3GiB", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["strategy"] == found["spec"]["strategy"] == "reversible:plain"
    assert (found["status"], found["recomputation"]) == ("fits", 1.2)
    assert {each["strategy"]: each["status"] for each in found["candidates"]}["plain:reversible"] == "oom"
    assert all(asked.strategy != "auto" for asked in probes)
    assert "1.200× those of plain" in cli("measure", *ARGUMENTS, "--strategy", "auto", "--budget", "3GiB").out


@pytest.mark.slow
def test_recommendation_on_the_emulated_device(program: Run) -> None:
    network = ("--base-channels", "16", "--stages", "3", "--blocks", "1", "--expansion", "4")
    arguments = ("--device", "t4", "--volume", "96", "--budget", "1GiB", *network, "--json")
    ended = program("recommend", *arguments)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    best = found["recommended"]
    assert best["peak_reserved_bytes"] <= 2**30
    assert 1.0 < best["recomputation"] < 1.6
    assert len(found["candidates"]) <= 12
    for each in found["cheaper"]:
        assert each["status"] == "oom"
        assert each["recomputation"] < best["recomputation"]
        assert each["misses_by_bytes"] == each["peak_reserved_unlimited_bytes"] - 2**30 > 0


@pytest.mark.slow
def test_steps_are_timed_where_asked(cli: Run, probes: list[ProbeSpec]) -> None:
    small = ("--base-channels", "16", "--blocks", "1", "--expansion", "2", "--norm-groups", "2")
    ended = cli("recommend", *ARGUMENTS, *small, "--budget", "3GiB", "--time", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert 0.3 < found["recommended"]["time_ratio"] < 10
    assert all(0.3 < option["time_ratio"] < 10 for option in found["cheaper"])


def test_only_our_own_networks_are_timed(cli: Run) -> None:
    ended = cli("recommend", "--model", "a:b", "--input", "4", "--time")
    assert (ended.code, ended.out) == (2, "")
    assert "membench's own networks" in ended.err
