"""What a reader does with a profile, in a real browser."""

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(15, 19, 24)"
PLOT = "#plot[data-ready]"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def opened(open_page: Open, name: str = "profile", **options: Any) -> Any:
    page = open_page(name, **options)
    if options.get("java_script_enabled", True):
        page.wait_for_selector(PLOT)
    return page


def over_plot(page: Any, share: float) -> tuple[float, float]:
    """A point of the window in the middle of the plot's height, at a share of its width."""
    page.locator("#plot").scroll_into_view_if_needed()
    box = page.locator("#plot .nsewdrag").bounding_box()
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


@pytest.mark.parametrize(("look", "options"), [("light", {}), ("dark", {"color_scheme": "dark"}), ("phone", PHONE)])
def test_it_opens_without_complaint_and_fits_the_window(
    open_page: Open, screenshot: Open, look: str, options: dict[str, Any]
) -> None:
    page = opened(open_page, **options)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (DARK if look == "dark" else LIGHT)
    screenshot(page, f"profile-{look}", full_page=True)


def test_names_from_users_are_text(open_page: Open) -> None:
    page = opened(open_page, "hostile-profile")
    assert page.evaluate("window.harmed") is None
    assert "<img src=x" in page.locator("h1").inner_text()
    assert "</script>" in page.locator("#modules").inner_text()
    assert "</script>" in page.locator("#then").inner_text()


def test_pointing_tells_what_is_held(open_page: Open, screenshot: Open) -> None:
    page = opened(open_page)
    page.mouse.move(*over_plot(page, 0.4))
    page.wait_for_selector("#plot .hoverlayer .legend")
    told = page.locator("#plot .hoverlayer").text_content()
    assert "activation" in told
    assert "MiB" in told
    screenshot(page, "profile-hover")


def test_selecting_a_moment_shows_its_blocks_and_their_stacks(open_page: Open, screenshot: Open) -> None:
    page = opened(open_page)
    assert "the peak" in page.locator("#then h3").inner_text()
    page.mouse.move(*over_plot(page, 0.5))
    page.wait_for_selector("#plot .hoverlayer .legend")
    page.mouse.click(*over_plot(page, 0.5))
    page.wait_for_function("!document.querySelector('#then h3').textContent.includes('the peak')")
    assert page.locator("#then tbody tr").count() == 10
    page.get_by_role("button", name="Peak", exact=True).click()
    button = page.locator("#then tbody button", has_text="membench/models").first
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert "forward" in page.locator("#then tr.of").inner_text()
    screenshot(page, "profile-stack")
    button.click()
    assert page.locator("#then tr.of").count() == 0


def test_the_keyboard_goes_through_the_moments(open_page: Open) -> None:
    page = opened(open_page)
    slider = page.locator("#moment")
    slider.focus()
    before = int(slider.input_value())
    page.keyboard.press("ArrowRight")
    assert int(slider.input_value()) == before + 1
    assert f"{before + 1:,}" in page.locator("#then h3").inner_text()
    assert "allocated" in slider.get_attribute("aria-valuetext")


def test_dragging_zooms_and_a_double_click_goes_back(open_page: Open) -> None:
    page = opened(open_page)
    span = "(() => { const [a, b] = document.getElementById('plot').layout.xaxis.range; return b - a; })()"
    whole = page.evaluate(span)
    page.mouse.move(*over_plot(page, 0.3))
    page.mouse.down()
    page.mouse.move(*over_plot(page, 0.4), steps=4)
    page.mouse.up()
    page.wait_for_function(f"{span} < {whole} / 4")
    page.mouse.dblclick(*over_plot(page, 0.5))
    page.wait_for_function(f"{span} > {whole} * 0.9")


def test_the_timeline_follows_the_theme(open_page: Open) -> None:
    page = opened(open_page)
    fill = "getComputedStyle(document.querySelector('#plot .js-fill')).fill"
    before = page.evaluate(fill)
    page.get_by_role("button", name="Dark").click()
    page.wait_for_function(f"{fill} !== '{before}'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK


def test_tables_sort_and_filter(open_page: Open) -> None:
    page = opened(open_page)
    page.locator("#modules thead button", has_text="Held at the peak").click()
    values = page.locator("#modules tbody td:nth-child(2)").evaluate_all("all => all.map(one => Number(one.dataset.v))")
    assert values == sorted(values)
    assert len(set(values)) > 3
    page.get_by_role("searchbox").fill("decoder norm")
    shown = page.locator("#modules tbody tr:visible").all_inner_texts()
    assert shown
    assert all("decoder" in text and "norm" in text for text in shown)


def test_numbers_lead_to_their_probe_and_the_command(open_page: Open) -> None:
    page = opened(open_page)
    page.locator("header a[href='#probe']").click()
    assert page.locator("dialog[open] code").inner_text().startswith("membench profile --device a100-40gb")
    page.keyboard.press("Escape")
    page.locator("#helps tbody a").first.click()
    assert page.locator("dialog[open] code").inner_text().startswith("membench measure --device a100-40gb")


def test_it_prints_in_ink_on_white_with_a_drawing(open_page: Open, screenshot: Open) -> None:
    page = opened(open_page, color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1040})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#timeline figure svg").is_visible()
    assert page.locator("#plot").is_hidden()
    assert page.locator("#largest tbody tr").count() == 10
    screenshot(page, "profile-print", full_page=True)


def test_it_can_be_read_without_scripts(open_page: Open) -> None:
    page = opened(open_page, java_script_enabled=False)
    assert page.locator("#timeline figure svg").is_visible()
    assert page.locator("#largest tbody tr").count() == 10
