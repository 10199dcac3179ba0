"""The folder of a report: its files, their bytes, what its page says and what it must not."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_sweep import World, fake_sweep, hostile_sweep, paper_plan, troubled_sweep
from msgspec.structs import replace
from rich.console import Console

from membench.cli.summary import print_summary
from membench.errors import MembenchError, UsageError
from membench.report import summary_rows, write_report
from membench.search import search
from membench.sweep import SweepResult
from membench.units import GIB

PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Ids, addresses and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.add(str(found.get("href")))
        self.loaded += [str(found[name]) for name in ("src", "data", "srcset", "poster") if name in found]
        if tag == "link":
            self.loaded.append(str(found["href"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_report(fake_sweep(), out)
    return out


def test_the_files_are_there(folder: Path) -> None:
    stems = {"headline", "memory-volume", "memory-blocks", "memory-channels", "sensitivity", "tradeoff"}
    figures = {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    wanted = {"searches.csv", "probes.csv", "claims.json", "tradeoff.csv", "index.html", *figures}
    assert {path.name for path in folder.iterdir()} == wanted
    assert all(path.read_bytes().startswith(PNG) for path in folder.glob("*.png"))
    assert (folder / "index.html").stat().st_size < 3_000_000


def test_the_files_are_named_in_a_fixed_order(folder: Path) -> None:
    written = write_report(fake_sweep(), folder)
    assert {path.name for path in written} == {path.name for path in folder.iterdir()}
    assert written[0].name == "searches.csv"
    assert written[-1].name == "index.html"


def test_the_same_result_gives_the_same_bytes_whatever_the_wall_times(folder: Path, tmp_path: Path) -> None:
    for path in write_report(fake_sweep(World(seconds=77.0)), tmp_path):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_the_page_says_what_a_dashed_line_is_and_which_variants_are_left_out(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert "Dashed line: ratio 1, as far as plain gets." in page
    assert "Blocks per stage: the preset leaves out reversible-sliced." in page
    assert page.count("the preset leaves out") == 2, "one caption, a label too"
    assert "reversible-sliced is left out on this axis, because" in page


def test_the_terminal_says_which_variants_are_left_out() -> None:
    console = Console(width=100, file=io.StringIO())
    print_summary(console, fake_sweep(), [Path("index.html")])
    said = console.file.getvalue()
    assert said.count("The preset leaves out") == 1
    assert "The preset leaves out reversible-sliced; see the report's assumptions." in said.split("\n\n")[1]


def test_ids_are_unique_and_every_link_leads_somewhere(folder: Path) -> None:
    page = Page((folder / "index.html").read_text())
    assert len(page.ids) == len(set(page.ids))
    inside = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert any(link.startswith("probe-") for link in inside)
    assert {link for link in page.links if not link.startswith("#")} <= {path.name for path in folder.iterdir()}


def test_the_page_asks_the_network_for_nothing(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    assert Page(text).loaded == ["data:,"]
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_marks_in_the_page_lead_to_probes_and_in_the_files_nowhere(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert re.search(r'<a href="#probe-\w{16}" tabindex="-1"><title>plain', page)
    assert "<a" not in (folder / "memory-volume.svg").read_text()


def test_trouble_is_on_the_page(tmp_path: Path) -> None:
    write_report(troubled_sweep(), tmp_path)
    text = (tmp_path / "index.html").read_text()
    for words in ("is not finished", "Stopped by a failed probe (crashed)", "lower bound", "holes", "nothing fits"):
        assert words in text, words


def test_text_from_users_cannot_leave_its_place(tmp_path: Path) -> None:
    write_report(hostile_sweep(), tmp_path)
    page = Page((tmp_path / "index.html").read_text())
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert all("<script" not in path.read_text() for path in tmp_path.glob("*.svg"))


def test_two_budgets_have_figures_of_their_own(tmp_path: Path) -> None:
    swept = paper_plan(budgets=[8 * GIB, 16 * GIB], strategies=["plain"], axes=["volume"])
    write_report(fake_sweep(swept=replace(swept, sensitivity=())), tmp_path)
    assert {path.name for path in tmp_path.glob("headline*.svg")} == {"headline-8GiB.svg", "headline-16GiB.svg"}
    assert {path.name for path in tmp_path.glob("memory*.svg")} == {"memory-volume-8GiB.svg", "memory-volume-16GiB.svg"}


@pytest.mark.parametrize("strategy", ["reversible", "checkpoint"])
def test_a_sweep_without_a_baseline_is_reported(tmp_path: Path, strategy: str) -> None:
    result = fake_sweep(swept=paper_plan(strategies=[strategy]))
    write_report(result, tmp_path)
    assert "Ratio to" not in (tmp_path / "index.html").read_text()
    assert all(row.ratios == {} for row in summary_rows(result))


def test_a_sweep_that_was_stopped_early_is_reported(tmp_path: Path) -> None:
    full = fake_sweep()
    empty = search(full.plan.searches[-1], lambda spec: None)
    write_report(replace(full, searches=(*full.searches[:-1], empty)), tmp_path)
    assert "1 of 35 searches and single probes" in (tmp_path / "index.html").read_text()


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    full = fake_sweep(swept=paper_plan(axes=["volume"]))
    searches = tuple(search(spec, lambda spec: None) for spec in full.plan.searches)
    with pytest.raises(UsageError, match="nothing to report"):
        write_report(replace(full, searches=searches, sensitivity=()), tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MembenchError, match=r"cannot write the report to .*file/out"):
        write_report(fake_sweep(), tmp_path / "file" / "out")


def _row(result: SweepResult, axis: str, variant: str) -> object:
    return next(row for row in summary_rows(result) if (row.axis, row.variant) == (axis, variant))


def test_the_summary_is_in_words_and_in_the_order_of_the_claims() -> None:
    result = fake_sweep()
    rows = summary_rows(result)
    assert list(dict.fromkeys(row.axis for row in rows)) == ["Volume", "Blocks per stage", "Base channels"]
    plain = rows[0]
    assert plain.variant == "plain"
    assert plain.budget == "16 GiB"
    assert plain.ratios["plain"] == "1.00×"
    assert re.fullmatch(r"\d+³", plain.largest)
    assert re.fullmatch(r"\d+\.\d\d GiB", plain.peak_reserved)


def test_the_summary_marks_bounds_and_gaps() -> None:
    result = troubled_sweep()
    ended = _row(result, "Blocks per stage", "reversible")
    assert ended.largest.startswith("≥ ")
    assert ended.ratios["plain"].startswith("≥ ")
    assert "lower bound" in ended.note
    assert _row(result, "Volume", "plain (uncoupled)").largest == "nothing fits"
    stopped = _row(result, "Volume", "checkpoint")
    assert stopped.largest.startswith("≥ ")
    assert stopped.ratios["plain"] == "–"
