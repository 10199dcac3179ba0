"""A report opened in Debian's Chromium, headless."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))  # the made-up sweeps of the report's unit tests

from fake_sweep import fake_sweep, hostile_sweep, troubled_sweep

from membench.report import write_report

SCREENSHOTS = Path(__file__).parent / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no chromium: apt-get install chromium")
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a report each: of a good sweep, of one with every trouble, and of one with hostile names."""
    folders = {}
    for name, made in (("paper", fake_sweep), ("troubled", troubled_sweep), ("hostile", hostile_sweep)):
        folders[name] = tmp_path_factory.mktemp(name)
        write_report(made(), folders[name])
    return folders


@pytest.fixture
def open_page(chromium: Any, reports: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """Open a report; whatever the page complains about or asks the network for fails the test at its end."""
    complaints: list[str] = []
    contexts = []

    def opened(name: str = "paper", fragment: str = "", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
        page.goto(f"file://{reports[name]}/index.html{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    complaints = [complaint for complaint in complaints if complaint != "data:,"]
    assert complaints == []


@pytest.fixture
def screenshot() -> Callable[..., Any]:
    """Keep a picture to be looked at."""

    def take(page: Any, name: str, **options: Any) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", **options)

    return take
