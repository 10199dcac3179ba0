import pytest

from membench.device import catalog, find_card
from membench.errors import UsageError

FIRST_CARDS = ("t4-16gb", "rtx-3090-24gb", "rtx-4090-24gb", "a100-40gb", "a100-80gb", "h100-80gb")


def test_the_first_cards_are_there() -> None:
    assert set(FIRST_CARDS) <= set(catalog())


@pytest.mark.parametrize("name", list(catalog()))
def test_figures_are_plausible_and_sourced(name: str) -> None:
    card = catalog()[name]
    marketed = int(name.rsplit("-", 1)[1].removesuffix("gb"))
    assert 0.9 * marketed * 1000**3 < card.total_bytes <= marketed * 1024**3
    assert 50 << 20 < card.context_bytes < 1 << 30
    assert card.usable_bytes == card.total_bytes - card.context_bytes
    assert card.shared_per_block_optin <= card.shared_per_multiprocessor
    assert {"total_bytes", "context_bytes"} <= set(card.sources)
    assert ";" not in card.name
    assert '"' not in card.name


def test_a_name_is_found_by_its_start() -> None:
    assert find_card("t4")[0] == "t4-16gb"
    assert find_card("RTX-3090")[0] == "rtx-3090-24gb"


def test_an_ambiguous_start_lists_the_candidates() -> None:
    with pytest.raises(UsageError, match="could be a100-40gb, a100-80gb"):
        find_card("a100")


@pytest.mark.parametrize("wanted", ["rtx-3091-24gb", "a100_40", "quadro", "b9000"])
def test_an_unknown_name_lists_a_few_near_ones(wanted: str) -> None:
    with pytest.raises(UsageError, match="not in the catalog") as refused:
        find_card(wanted)
    message = str(refused.value)
    assert sum(name in message for name in catalog()) <= 3
    assert "membench devices lists all" in message
    if wanted == "rtx-3091-24gb":
        assert "near names: rtx-3090-24gb" in message


def test_an_empty_name_is_near_to_none() -> None:
    with pytest.raises(UsageError, match=r"device '' is not in the catalog \(membench devices lists all\)"):
        find_card("")


def test_contexts_are_counted_without_library_handles() -> None:
    """llama.cpp on a T4 prints 14912 MiB, 14807 MiB free, before it has made a handle."""
    assert catalog()["t4-16gb"].context_bytes == (14912 - 14807) << 20
