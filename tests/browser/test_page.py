"""What a reader does with a report, in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(15, 19, 24)"

# The least contrast of any visible text with what it stands on, as WCAG 2.2 defines it.
LEAST_CONTRAST = """() => {
  const channel = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (color) => {
    const [r, g, b] = color.match(/\\d+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return color.endsWith(", 0)") ? ground(element.parentElement) : color;
  };
  const contrast = (element) => {
    const both = [light(getComputedStyle(element).color), light(ground(element))];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  };
  const shown = (element) => element.textContent.trim() && element.checkVisibility() && !element.closest("svg");
  const texts = document.querySelectorAll("main :is(p, a, td, th, dd, dt, small, strong), .status, header *");
  return Math.min(...[...texts].filter(shown).map(contrast));
}"""


def column(page: Any, table: str, number: int) -> list[str]:
    return page.locator(f"{table} tbody tr > :nth-child({number})").all_inner_texts()


def background(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("name", ["paper", "troubled", "hostile"])
@pytest.mark.parametrize(
    ("look", "options"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}),
    ],
)
def test_it_opens_without_complaint_and_fits_the_window(
    open_page: Open, screenshot: Open, name: str, look: str, options: dict[str, Any]
) -> None:
    page = open_page(name, **options)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert background(page) == (DARK if look == "dark" else LIGHT)
    screenshot(page, f"{name}-{look}", full_page=True)


def test_a_column_sorts_both_ways_by_its_quantity(open_page: Open) -> None:
    page = open_page()
    peaks = "#results tbody tr td:nth-child(7)"
    button = page.locator("#results thead button", has_text="Peak reserved")
    button.click()
    values = page.locator(peaks).evaluate_all("cells => cells.map(cell => Number(cell.dataset.v))")
    assert values == sorted(values)
    assert len(set(values)) > 3
    assert page.locator("#results th[aria-sort]").get_attribute("aria-sort") == "ascending"
    button.click()
    assert page.locator(peaks).evaluate_all("cells => cells.map(cell => Number(cell.dataset.v))") == values[::-1]
    assert page.locator("#results th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_volumes_sort_by_voxels_and_words_by_the_alphabet(open_page: Open) -> None:
    page = open_page()
    page.locator("#results thead button", has_text="Variant").click()
    variants = column(page, "#results", 2)
    assert variants == sorted(variants)
    assert len(set(variants)) == 5


def test_rows_without_a_value_stay_last(open_page: Open) -> None:
    page = open_page("troubled")
    button = page.locator("#results thead button", has_text="Ratio to plain").first
    for _ in range(2):
        button.click()
        ratios = column(page, "#results", 4)
        gaps = ratios.count("–")
        assert gaps > 0
        assert ratios[-gaps:] == ["–"] * gaps


def test_the_keyboard_opens_and_closes_a_probe(open_page: Open, screenshot: Open) -> None:
    page = open_page()
    link = page.locator("#results td a").first
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    assert dialog.count() == 1
    assert "Certificate" in dialog.inner_text()
    assert "membench measure --device a100-40gb --budget 16GiB" in dialog.locator("code").inner_text()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    assert page.url.endswith(link.get_attribute("href"))
    screenshot(page, "dialog-light")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert link.evaluate("link => link === document.activeElement")
    assert "#" not in page.url


def test_every_number_of_the_results_leads_to_its_search(open_page: Open) -> None:
    page = open_page()
    ratio = page.locator("#results tbody tr", has_text="reversible").first.locator("td a[href^='#search-']").first
    told = ratio.inner_text()
    ratio.click()
    dialog = page.locator("dialog[open]")
    assert f"{told} = " in dialog.inner_text()
    assert "Smallest that does not" in dialog.inner_text()
    dialog.locator("a[href^='#probe-']").first.click()
    assert page.locator("dialog[open]").count() == 1
    assert page.locator("dialog[open]").get_attribute("id").startswith("probe-")


def test_a_mark_in_a_figure_opens_its_probe(open_page: Open) -> None:
    page = open_page()
    mark = page.locator("#figure-2 svg a").last
    target = mark.get_attribute("href")
    assert mark.locator("title").text_content().split(",")[0] in {
        "plain",
        "plain (uncoupled)",
        "checkpoint",
        "reversible",
        "reversible-sliced",
    }
    mark.click()
    assert f"#{page.locator('dialog[open]').get_attribute('id')}" == target


def test_an_address_opens_a_dialog(open_page: Open) -> None:
    page = open_page(fragment="#search-3")
    assert page.locator("dialog[open]").get_attribute("id") == "search-3"
    page.evaluate("location.hash = '#search-4'")
    page.wait_for_function("document.querySelector('dialog[open]')?.id === 'search-4'")


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_switches_and_is_remembered(open_page: Open, system: str) -> None:
    page = open_page(color_scheme=system)
    before, after = (LIGHT, DARK) if system == "light" else (DARK, LIGHT)
    assert background(page) == before
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "theme"
    page.keyboard.press("Enter")
    assert background(page) == after
    page.reload()
    assert background(page) == after


def test_figures_follow_the_theme(open_page: Open) -> None:
    def ink(page: Any) -> str:
        drawn = page.locator("#figure-1 svg [style*='--c-1f2328']").first
        return drawn.evaluate("e => getComputedStyle(e).fill + getComputedStyle(e).stroke")

    assert ink(open_page()) != ink(open_page(color_scheme="dark"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(open_page: Open, scheme: str) -> None:
    assert open_page("troubled", color_scheme=scheme).evaluate(LEAST_CONTRAST) >= 4.5  # WCAG 2.2, level AA


def test_the_filter_keeps_matching_rows(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("searchbox").fill("Checkpoint out")
    rows = page.locator("#probes tbody tr:visible")
    assert 0 < rows.count() < page.locator("#probes tbody tr").count()
    assert all("checkpoint" in text and "out of memory" in text for text in rows.all_inner_texts())
    assert (
        page.locator("#shown").inner_text().startswith(f"{page.locator('#probes tbody tr:not([hidden])').count()} of ")
    )


def test_a_command_is_copied(open_page: Open) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#results td a[href^='#probe-']").first.click()
    page.locator("dialog[open] button.copy").click()
    page.wait_for_function("document.querySelector('dialog[open] button.copy').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("dialog[open] code").inner_text()


def test_it_prints_in_ink_on_white_with_all_of_its_tables(open_page: Open, screenshot: Open, tmp_path: Path) -> None:
    page = open_page(color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert background(page) == LIGHT
    assert page.locator("#theme").is_hidden()
    assert page.locator("main details:not([open])").count() == 0
    page.set_viewport_size({"width": 718, "height": 1040})  # A4 between the margins, at 96 pixels an inch
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, "print", full_page=True)
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_it_can_be_read_without_scripts(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator("#results tbody tr").count() == 14
    page.locator("#results td a[href^='#probe-']").first.click()
    assert page.locator("dialog:target").is_visible()
