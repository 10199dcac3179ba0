"""A report opened in Debian's Chromium, headless."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))  # the made-up sweeps of the report's unit tests

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "profile"))

from fake_sweep import fake_sweep, hostile_sweep, troubled_sweep
from msgspec.structs import replace
from recorded_probes import SMALL

from membench.device import resolve
from membench.probe import Prober
from membench.profile import Analysis, Profile, record
from membench.profile.advice import remedies
from membench.report import write_report
from membench.report.profile import write_profile
from membench.spec import ModelSpec

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


HOSTILE = "</script><img src=x onerror='window.harmed = 1'>"


@pytest.fixture(scope="session")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a profile each: of a small network, and the same with hostile names of modules and lines."""
    folder = tmp_path_factory.mktemp("profile")
    with Prober(resolve("a100-40gb")) as prober:
        analysis = record(SMALL, prober, folder / "snapshot.pickle")
        tried = remedies(analysis.profile, prober, prober(SMALL))
    write_profile(analysis, replace(analysis.profile, remedies=tried), folder)
    return {"profile": folder, "hostile-profile": _hostile(analysis, tmp_path_factory.mktemp("hostile"))}


def _hostile(analysis: Analysis, folder: Path) -> Path:
    found: Profile = analysis.profile
    assert found.measurement is not None
    model = ModelSpec(factory=f"package:{HOSTILE}", inputs=("1",))
    measured = replace(found.measurement, spec=replace(found.measurement.spec, network=model, volume=(1, 1, 1)))
    held = analysis.attribution.held
    analysis.attribution.held = lambda block: replace(held(block), module=HOSTILE, line=HOSTILE)  # type: ignore[method-assign]
    holders = tuple(replace(holder, module=HOSTILE, line=HOSTILE) for holder in found.peak.holders)
    peak = replace(found.peak, holders=holders, module=HOSTILE, at=replace(found.peak.at, module=HOSTILE))
    write_profile(analysis, replace(found, measurement=measured, peak=peak), folder)
    return folder


@pytest.fixture
def open_page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
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
        folders = request.getfixturevalue("profiles" if name.endswith("profile") else "reports")
        page.goto(f"file://{folders[name]}/index.html{fragment}")
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
