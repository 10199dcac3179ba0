"""What a notebook shows of results, by IPython's own formatter, and figures on axes of the reader's own."""

from collections.abc import Callable
from html.parser import HTMLParser

import msgspec
import pytest
from matplotlib.figure import Figure

from membench.errors import UsageError
from membench.report.axes import plot_largest, plot_memory
from membench.result import DeviceInfo, Measurement, SearchResult
from membench.search import search
from membench.spec import ModelSpec, ProbeSpec, SearchSpec
from membench.units import GIB

HOSTILE = "<script>alert(1)</script>"
DEVICE = DeviceInfo(
    name="t4-16gb", kind="emulated", title=HOSTILE, total_bytes=16 * GIB, compute_capability="7.5", multiprocessors=40
)
MODEL = ModelSpec(factory="nets:unet", arguments={"name": HOSTILE}, inputs=("1x{n}",), values={"n": 1})
PROBE = ProbeSpec(network=MODEL, strategy="plain", budget=GIB)


class Text(HTMLParser):
    """The text of a page, and its tags; every tag that is opened must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def measured(spec: ProbeSpec) -> Measurement:
    assert isinstance(spec.network, ModelSpec)
    peak = spec.network.values["n"] * GIB // 8
    status = "fits" if peak <= GIB else "oom"
    return Measurement(spec=spec, status=status, peak_allocated_bytes=peak, peak_reserved_bytes=peak, device=DEVICE)


@pytest.fixture
def found() -> SearchResult:
    return search(SearchSpec(axis="n", probe=PROBE), measured)


@pytest.fixture
def shown() -> Callable[[object], Text]:
    formatters = pytest.importorskip("IPython.core.formatters")

    def show(record: object) -> Text:
        data, _ = formatters.DisplayFormatter().format(record)
        return Text(data["text/html"])

    return show


def test_a_measurement_is_a_table_of_facts(shown: Callable[[object], Text]) -> None:
    page = shown(msgspec.structs.replace(measured(PROBE), message=HOSTILE, parameters=1234))
    assert {"fits", "128.00 MiB (134,217,728 bytes)", "1.00 GiB", HOSTILE} <= set(page.words)
    assert f"nets:unet(name={HOSTILE!r}), input 1x{{n}}, n 1, 1,234 parameters" in page.words
    assert page.tags == {"div", "strong", "table", "tbody", "tr", "th", "td"}


def test_a_search_is_its_certificate_and_its_probes(found: SearchResult, shown: Callable[[object], Text]) -> None:
    page = shown(found)
    at = page.words.index("Largest that fits")
    assert page.words[at : at + 4] == ["Largest that fits", "8", "Smallest that does not", "9"]
    assert page.words.count("fits") == sum(point.measurement.fits for point in found.probes)
    assert "script" not in page.tags
    stopped = shown(msgspec.structs.replace(found, finished=False))
    assert "≥ 8" in stopped.words


def test_figures_are_drawn_on_axes_that_are_given(found: SearchResult) -> None:
    offload = msgspec.structs.replace(PROBE, strategy="offload")
    other = search(SearchSpec(axis="n", probe=offload), measured)
    left, right = Figure().subplots(1, 2)
    assert plot_memory([found, other], ax=left) is left
    assert plot_largest([found, other], ax=right) is right
    drawn = {tuple(line.get_xydata()[0]) for line in left.get_lines() if line.get_marker() == "o"}
    assert drawn == {(p.extent, p.measurement.peak_reserved_bytes / GIB) for p in found.probes if p.measurement.fits}
    assert left.get_legend() is not None
    assert [bar.get_width() for bar in right.patches] == [8, 8]


def test_what_cannot_be_drawn_together_is_refused(found: SearchResult) -> None:
    volume = search(SearchSpec(axis="volume", probe=ProbeSpec(), limit=16), lambda _: None)
    for results in ([], [found, volume], volume):
        with pytest.raises(UsageError):
            plot_memory(results, ax=Figure().subplots())
