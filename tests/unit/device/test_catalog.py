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


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UsageError, match=r"not in the catalog; near names: .*rtx-3090-24gb"):
        find_card("rtx-3091-24gb")
    with pytest.raises(UsageError, match="not in the catalog"):
        find_card("")
