from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from membench.device import catalog, default_device, find_card, use_cards
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
    with pytest.raises(UsageError, match="device '' is not in the catalog; membench devices lists all"):
        find_card("")


def test_contexts_are_counted_without_library_handles() -> None:
    """llama.cpp on a T4 prints 14912 MiB, 14807 MiB free, before it has made a handle."""
    assert catalog()["t4-16gb"].context_bytes == (14912 - 14807) << 20


@pytest.fixture
def device_file(tmp_path: Path) -> Iterator[Path]:
    """A file for cards of one's own; they leave the catalog with the test."""
    yield tmp_path / "cards.toml"
    use_cards(None)


def test_a_card_of_ones_own_is_read_as_it_was_written(device_file: Path) -> None:
    card = msgspec.structs.replace(find_card("t4")[1], title='A "T4", less', total_bytes=3 << 30)
    device_file.write_text(card.to_toml("my-t4") + card.to_toml("my-other"))
    use_cards(device_file)
    assert find_card("my-t4") == ("my-t4", card)
    assert default_device() == "my-t4"
    assert list(catalog())[:2] == ["my-t4", "my-other"]
    assert find_card("t4")[0] == "t4-16gb"
    use_cards(None)
    assert "my-t4" not in catalog()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[mine]", "[t4-16gb]"), "t4-16gb is a card of the catalog; give yours another name"),
        (("[mine]", "[cuda]"), "'cuda' is no name for a card"),
        (("[mine]", '["Mine 1"]'), "'Mine 1' is no name for a card"),
        (("l2_bytes = 4194304", "l2_bytes = -1"), "card mine: l2_bytes must be positive, not -1"),
        (
            ("l2_bytes = 4194304", "l2_bytes = 1.5"),
            "card mine: Expected `int`, got `float` - at `$.l2_bytes`; membench",
        ),
        (
            ("l2_bytes = 4194304", ""),
            "card mine: Object missing required field `l2_bytes`; membench devices --template",
        ),
        (("l2_bytes = 4194304", "l2 = 1"), "card mine: Object contains unknown field `l2`"),
        (('"7.5"', '"seven"'), "card mine: compute_capability must be such as 8.6, not 'seven'"),
        (("context_bytes = 110100480", "context_bytes = 99999999999"), "leave nothing of total_bytes (15637086208)"),
        (
            ('name = "Tesla T4"', 'name = "T4;x=1"'),
            "card mine: name must be 1 to 255 characters without ; = and quotes",
        ),
        (("[mine]", "mine = 1\n[other]"), "card mine: Expected `object`, got `int`"),
        (("[mine]", "[mine"), "is not TOML: "),
    ],
)
def test_a_bad_device_file_is_one_clear_error(device_file: Path, change: tuple[str, str], reason: str) -> None:
    good = find_card("t4")[1].to_toml("mine")
    text = good.split("[mine.sources]")[0].replace(*change)
    assert text != good.split("[mine.sources]")[0]
    device_file.write_text(text)
    with pytest.raises(UsageError) as refused:
        use_cards(device_file)
    assert reason in str(refused.value)
    assert str(refused.value).startswith(f"device file {device_file}")
    assert "\n" not in str(refused.value)


def test_a_device_file_that_cannot_be_read_is_one_clear_error(device_file: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        use_cards(device_file)
    device_file.write_bytes(b"\x80")
    with pytest.raises(UsageError, match="is not TOML: 'utf-8' codec"):
        use_cards(device_file)
    device_file.write_text("# nothing\n")
    with pytest.raises(UsageError, match="describes no card; membench devices --template prints one"):
        use_cards(device_file)
