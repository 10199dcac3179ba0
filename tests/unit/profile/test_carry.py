"""Labels of one recording on the history of another."""

from pathlib import Path

import msgspec
import pytest
from recorded_probes import SMALL

from membench.probe import Prober
from membench.profile import Analysis
from membench.profile.carry import Token, carry, same_events
from membench.snapshot import read_snapshot


def tokens(text: str) -> list[tuple[int, Token]]:
    """``A`` is an allocation, ``a`` the free of one of its size."""
    return [
        (n, ("alloc" if letter.isupper() else "free_requested", ord(letter.upper()))) for n, letter in enumerate(text)
    ]


def told(there: str, here: str) -> str:
    """What the second history gets of the first, a dot where it gets nothing."""
    found = {b: a for a, b in same_events(tokens(there), tokens(here))}
    return "".join(str(found[n] % 10) if n in found else "." for n in range(len(here)))


def test_equal_histories_are_laid_on_each_other() -> None:
    assert told("ABab", "ABab") == "0123"


def test_what_is_in_the_first_alone_is_passed_over() -> None:
    tail = "XYZxyzXYZxyzXYZxyz"
    assert told("ABCcab" + tail, "ABab" + tail).startswith("0145")


def test_an_addition_that_looks_like_its_neighbours_begins_with_its_allocation() -> None:
    """A gradient of size S is added to another: S is allocated for the sum, the old one freed; then S comes again."""
    tail = "XYZxyzXYZxyzXYZxyz"
    assert told("SWwSsSW" + tail, "SWwSW" + tail).startswith("01256")


def test_what_is_in_the_second_alone_has_no_label() -> None:
    tail = "XYZxyzXYZxyzXYZxyz"
    assert told("AB" + tail, "ACB" + tail).startswith("0.1")


@pytest.mark.slow
def test_labels_are_put_on_the_history_without_them(prober: Prober, tmp_path: Path) -> None:
    """In a residual network every block's input is used twice: the labelled recording adds those gradients apart."""
    spec = msgspec.structs.replace(SMALL, network=msgspec.structs.replace(SMALL.network, coupling="none"))
    labelled, plain = tmp_path / "labelled.pickle", tmp_path / "plain.pickle"
    prober.record(spec, labelled)
    measured = prober.record(spec, plain, labelled=False)
    events = [len(read_snapshot(file).trace()) for file in (labelled, plain)]
    assert events[0] > events[1]

    carry(labelled, plain)

    there, here = (Analysis(read_snapshot(file)) for file in (labelled, plain))
    assert len(here.history.events) == events[1]
    assert here.profile.peak.allocated_bytes == measured.peak_allocated_bytes
    assert here.profile.peak.categories == there.profile.peak.categories
    assert here.profile.peak.modules == there.profile.peak.modules
    unlabelled = [held for held in map(here.attribution.held, here.history.allocations) if held.category == "other"]
    assert {held.what for held in unlabelled} <= {"temporaries of the optimizer"}
