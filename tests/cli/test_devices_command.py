import json

import pytest
from running import Run

from membench.device import catalog, default_device, real


def test_every_card_is_listed(cli: Run) -> None:
    entries = {entry["name"]: entry for entry in json.loads(cli("devices", "--json").out)}
    assert set(catalog()) <= set(entries)
    card = catalog()["a100-40gb"]
    assert entries["a100-40gb"]["kind"] == "emulated"
    assert entries["a100-40gb"]["total_bytes"] == card.total_bytes
    assert entries["a100-40gb"]["usable_bytes"] == card.usable_bytes
    assert [name for name, entry in entries.items() if entry["default"]] == [default_device()]


def test_table_for_people(cli: Run) -> None:
    lines = cli("devices").out.splitlines()
    (line,) = [line for line in lines if line.startswith("t4-16gb")]
    assert line.split() == ["t4-16gb", "T4", "16", "GB", "14.56", "14.46", "7.5", "40"]


def test_a_gpu_of_this_machine_comes_first_and_is_the_default(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "gpus", lambda: (real.Gpu("Some GPU", 8 * 2**30, "9.0", 7),) * 2)
    first, second, *cards = json.loads(cli("devices", "--json").out)
    assert (first["name"], first["kind"], first["default"]) == ("cuda", "real", True)
    assert (second["name"], second["default"]) == ("cuda:1", False)
    assert not any(card["default"] for card in cards)
    assert cli("devices").out.splitlines()[1].split() == ["cuda", "*", "Some", "GPU", "8.00", "9.0", "7"]
