"""The fidelity benchmark: what is told of a figure, the medians, and the published peaks that need no clone."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import fidelity
import msgspec
import pytest
from fidelity import COUNTERS, HERE, Comparison, Figure, Publication, compare, medians, publications, replay

INSTALLED = metadata.version("torch").split("+")[0]
PUBLICATION = Publication(
    card="t4-16gb",
    replay="replays/issue_95024.py",
    source="nobody",
    torch=INSTALLED,
    measured="peaks",
    figures=(Figure(workload="work", allocated=1000, reserved=2000),),
)


def rows_of(told: dict[str, Any], **changes: Any) -> list[Comparison]:
    return list(compare(msgspec.structs.replace(PUBLICATION, **changes), {"work": told}))


@pytest.mark.parametrize(
    ("allocated", "reserved", "failed"),
    [
        (1050, 1900, [False, False]),
        (1051, 2000, [True, False]),
        (1000, 2101, [False, True]),
        (949, 1899, [True, True]),
    ],
)
def test_a_figure_that_is_off_by_more_than_five_percent_needs_a_cause(
    allocated: int, reserved: int, failed: list[bool]
) -> None:
    told = {"allocated": allocated, "reserved": reserved}
    rows = rows_of(told)
    assert [row.failed for row in rows] == failed
    assert rows[0].error_percent == pytest.approx((allocated - 1000) / 10)
    explained = Figure(workload="work", allocated=1000, reserved=2000, cause="known")
    assert not any(row.failed for row in rows_of(told, figures=(explained,)))


def test_what_rounding_explains_is_no_error() -> None:
    rows = rows_of({"allocated": 1005, "reserved": 2006}, precision=10)
    assert [row.error_percent for row in rows] == [0.0, pytest.approx(0.3)]


def test_what_is_missing_is_told_and_no_failure() -> None:
    assert [(row.problem, row.failed, row.error_percent) for row in rows_of({"missing": "torchvision"})] == [
        ("needs torchvision, which is not here", False, None)
    ] * 2
    told = replay(msgspec.structs.replace(PUBLICATION, repository="me/mine"), None)
    assert told == {"work": {"missing": "me/mine"}}


def test_a_replay_that_breaks_fails_with_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise RuntimeError('no such thing')")
    broken = msgspec.structs.replace(PUBLICATION, replay=str(script))
    assert all(
        row.failed and row.problem == "RuntimeError: no such thing" for row in compare(broken, replay(broken, None))
    )
    script.write_text("")
    assert replay(broken, None) == {"work": {"failed": "the replay does not have it"}}


def test_a_notebook_is_run_in_order_and_its_figures_are_found(tmp_path: Path) -> None:
    cells = [
        ["!pip install nothing\n", "held = 3"],
        ["print(f'peak: {held:.1f} MB')"],
        ["raise ValueError('of a cell')"],
        ["print(held)"],
    ]
    notebook = [{"cell_type": "code", "source": source, "outputs": [{"text": ["published"]}]} for source in cells]
    clone = tmp_path / "me"
    clone.mkdir()
    (clone / "one.ipynb").write_text(json.dumps({"cells": notebook}))
    publication = msgspec.structs.replace(
        PUBLICATION,
        replay="replays/notebook.py",
        repository="me/mine",
        arguments=("one.ipynb",),
        figures=(Figure(workload="work", allocated=3_000_000, pattern=r"peak: ([\d.]+) MB"),),
    )
    assert replay(publication, tmp_path) == {"work": {"allocated": 3_000_000}}


def test_medians_are_of_matched_rows_and_of_all() -> None:
    matched = rows_of({"allocated": 1010, "reserved": 2000})
    other = rows_of({"allocated": 1000, "reserved": 1940}, torch="1.0.0+cu11")
    assert [row.matched for row in (*matched, *other)] == [True, True, False, False]
    elsewhere = rows_of({"allocated": 1100}, source="somebody", figures=(Figure(workload="work", allocated=1000),))
    found = {
        (median.of, median.counter): (round(median.percent, 6), median.figures)
        for median in medians([*matched, *other, *rows_of({"missing": "it"}), *elsewhere])
    }
    assert found == {
        ("matched versions", "allocated"): (5.5, 2),
        ("matched versions", "reserved"): (0.0, 1),
        ("all rows", "allocated"): (1.0, 3),
        ("all rows", "reserved"): (1.5, 2),
        ("nobody", "allocated"): (0.5, 2),
        ("nobody", "reserved"): (1.5, 2),
        ("somebody", "allocated"): (10.0, 1),
    }


def test_every_publication_says_where_it_is_from_and_what_was_measured() -> None:
    for publication in publications():
        assert publication.source
        assert publication.measured
        assert publication.torch
        assert not publication.replay or (HERE / publication.replay).is_file()
        assert all(figure.allocated or figure.reserved or figure.context for figure in publication.figures)


@pytest.mark.slow
def test_the_emulated_cards_peak_as_published() -> None:
    done = subprocess.run([sys.executable, HERE / "fidelity.py", "--json"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["rows"]
    counters = [getattr(figure, name) for each in publications() for figure in each.figures for name in COUNTERS]
    assert len(rows) == sum(counter is not None for counter in counters)
    convolution = [row for row in rows if row["card"] == "a100-80gb"]
    assert [row["emulated"] for row in convolution] == [12_874_233_344, 12_880_707_584]
    for row in rows:
        measured = row["error_percent"] is not None and abs(row["error_percent"]) <= fidelity.NOTABLE_PERCENT
        assert measured or row["problem"].startswith("needs "), row
