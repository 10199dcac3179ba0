"""``--device-file``: a card of one's own wherever a device is named."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Run

from membench.device import find_card, use_cards
from membench.spec import ProbeSpec

OPTIONS = {"measure": (), "search": ("--axis", "batch"), "recommend": (), "sweep": ("--preset", "quick")}


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    card = find_card("t4")[1]
    path = tmp_path / "mine.toml"
    path.write_text(card.to_toml("my-t4").replace(str(card.total_bytes), str(3 << 30)))
    yield path
    use_cards(None)


@pytest.mark.parametrize("command", ["measure", "search"])
def test_its_first_card_is_the_device(cli: Run, probes: list[ProbeSpec], mine: Path, command: str) -> None:
    ended = cli(command, *OPTIONS[command], "--device-file", str(mine), "--volume", "16", "--json")
    assert ended.code == 0, ended.err
    assert {probe.device for probe in probes} == {"my-t4"}


def test_a_check_names_it_in_its_configuration(
    cli: Run, probes: list[ProbeSpec], mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    case = '[[case]]\nname = "one"\ndevice = "my-t4"\nvolume = "16"\nlimit = "1GiB"\n'
    Path("membench.toml").write_text(f'device_file = "mine.toml"\n{case}')
    ended = cli("check")
    assert ended.code == 0, ended.err
    assert {probe.device for probe in probes} == {"my-t4"}


def test_another_card_may_be_named(cli: Run, probes: list[ProbeSpec], mine: Path) -> None:
    cli("measure", "--device-file", str(mine), "--device", "l4-24gb", "--volume", "16")
    assert [probe.device for probe in probes] == ["l4-24gb"]


def test_it_is_listed_with_its_sources(cli: Run, mine: Path) -> None:
    first, *others = json.loads(cli("devices", "--device-file", str(mine), "--json").out)
    assert (first["name"], first["default"], first["total_bytes"]) == ("my-t4", True, 3 << 30)
    assert first["usable_bytes"] == first["total_bytes"] - first["context_bytes"]
    assert not any(entry["default"] for entry in others)
    assert all({"total_bytes", "context_bytes"} <= set(entry["sources"]) for entry in others)


def test_the_template_is_a_device_file(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "template.toml"
    path.write_text(cli("devices", "--template", "--device", "l4-24gb").out)
    listed = json.loads(cli("devices", "--device-file", str(path), "--json").out)
    use_cards(None)
    assert listed[0]["name"] == "my-l4-24gb"
    assert listed[0]["usable_bytes"] == find_card("l4-24gb")[1].usable_bytes


@pytest.mark.parametrize("command", list(OPTIONS))
def test_a_bad_one_is_bad_usage_of_every_command(cli: Run, tmp_path: Path, command: str) -> None:
    ended = cli(command, *OPTIONS[command], "--device-file", str(tmp_path / "none.toml"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"membench: device file {tmp_path / 'none.toml'}: No such file or directory\n"
