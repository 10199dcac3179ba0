import json
import subprocess
import sys
from pathlib import Path

import pytest
from published import HERE, Peak, Publication, Tolerance, compare, publications, replay

PUBLICATION = Publication(
    card="t4-16gb",
    replay="replays/issue_95024.py",
    source="nobody",
    tolerance=Tolerance(allocated=1.0, reserved=2.0),
    peak=(Peak(workload="work", allocated=1000, reserved=2000),),
)


@pytest.mark.parametrize(
    ("allocated", "reserved", "failed"),
    [
        (1010, 1960, [False, False]),
        (1011, 2000, [True, False]),
        (1000, 2041, [False, True]),
        (989, 1959, [True, True]),
    ],
)
def test_a_figure_outside_its_tolerance_fails(allocated: int, reserved: int, failed: list[bool]) -> None:
    rows = list(compare(PUBLICATION, {"work": {"allocated": allocated, "reserved": reserved}}))
    assert [row.failed for row in rows] == failed
    assert rows[0].error_percent == pytest.approx((allocated - 1000) / 10)


def test_what_is_not_installed_is_told_and_no_failure() -> None:
    rows = list(compare(PUBLICATION, {"work": {"missing": "torchvision"}}))
    assert [(row.problem, row.failed, row.error_percent) for row in rows] == [
        ("needs torchvision, which is not installed", False, None)
    ] * 2


def test_a_workload_that_the_replay_does_not_tell_fails() -> None:
    assert all(row.failed and row.problem for row in compare(PUBLICATION, {}))


def test_a_replay_that_breaks_fails_with_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise RuntimeError('no such thing')")
    broken = Publication(
        **{**{f: getattr(PUBLICATION, f) for f in PUBLICATION.__struct_fields__}, "replay": str(script)}
    )
    rows = list(compare(broken, replay(broken)))
    assert all(row.failed and row.problem == "RuntimeError: no such thing" for row in rows)


def test_every_publication_has_a_replay_and_a_source() -> None:
    for publication in publications():
        assert (HERE / publication.replay).is_file()
        assert publication.source
    tolerances = {peak.workload: peak.tolerance for publication in publications() for peak in publication.peak}
    assert tolerances["resnet50 16x224"] == Tolerance(allocated=1.0, reserved=2.0)


@pytest.mark.slow
def test_the_emulated_cards_peak_as_published() -> None:
    done = subprocess.run(
        [sys.executable, HERE / "published.py", "--json"], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 2 * sum(len(publication.peak) for publication in publications())
    convolution = [row for row in rows if row["card"] == "a100-80gb"]
    assert [row["emulated"] for row in convolution] == [12_874_233_344, 12_880_707_584]
    for row in rows:
        measured = row["error_percent"] is not None and abs(row["error_percent"]) <= row["tolerance_percent"]
        assert measured or row["problem"].startswith("needs "), row
