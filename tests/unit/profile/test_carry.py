"""Labels of one recording on the history of another."""

import msgspec
import pytest
from recorded_probes import Snapshot

from membench.probe import Prober
from membench.profile.carry import Token, same_events
from membench.spec import ProbeSpec


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
def test_where_recording_raises_a_peak_the_history_is_that_without_labels(snapshot: Snapshot, prober: Prober) -> None:
    """Checkpointing at 32³: with labels a small segment more is reserved."""
    spec = ProbeSpec(volume=(32, 32, 32), strategy="checkpoint")
    analysis, file = snapshot(spec)
    measured = prober(spec)
    labelled = prober.record(spec, file.with_suffix(".again"))
    assert labelled.peak_reserved_bytes != measured.peak_reserved_bytes
    found = analysis.profile
    assert found.measurement is not None
    assert found.notes == ()
    assert msgspec.structs.replace(found.measurement, seconds=0) == msgspec.structs.replace(measured, seconds=0)
    peak = found.peak
    assert sum(peak.categories.values()) == peak.allocated_bytes == measured.peak_allocated_bytes
    assert peak.categories["other"] == 0
    assert all(held.module and held.line for held in peak.largest)
    assert not list(file.parent.glob("*.labelled"))
