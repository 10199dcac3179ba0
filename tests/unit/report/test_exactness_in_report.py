"""A probe that is not exact is marked wherever its search is shown."""

import csv
import io

from fake_sweep import World, fake_sweep
from msgspec.structs import replace

from membench.report import summary_rows
from membench.report.data import report_rows
from membench.report.page import page_html
from membench.report.tables import probes_csv, searches_csv
from membench.result import Measurement
from membench.spec import ProbeSpec
from membench.sweep import claims

REASON = "3 values were read from the emulated device, as zero; memory may depend on what is computed"


class Inexact(World):
    def measure(self, spec: ProbeSpec) -> Measurement:
        return replace(
            super().measure(spec),
            exact=False,
            inexact_because=(REASON,),
            sensitivities=("cudnn.benchmark", "tf32"),
        )


def test_the_tables_and_the_page_say_so() -> None:
    result = fake_sweep(Inexact())
    rows = report_rows(result)
    for name, text in (("searches", searches_csv(rows)), ("probes", probes_csv(rows))):
        lines = list(csv.DictReader(io.StringIO(text)))
        assert lines, name
        assert {line["exact"] for line in lines} == {"False"}, name
        assert {line["inexact_because"] for line in lines} == {REASON}, name
    assert all(f"not exact, {REASON}" in row.note for row in summary_rows(result))
    page = page_html(result, rows, claims(result), (), {})
    assert f"Not exact, {REASON.lower()}" in page
    assert page.count("<small>not exact</small>") >= len(result.searches)
    assert "<dt>Would change it</dt><dd>cudnn.benchmark, tf32</dd>" in page


def test_exact_probes_are_not_marked() -> None:
    result = fake_sweep()
    rows = report_rows(result)
    assert "not exact" not in page_html(result, rows, claims(result), (), {})
    assert {line["exact"] for line in csv.DictReader(io.StringIO(searches_csv(rows)))} == {"True"}
