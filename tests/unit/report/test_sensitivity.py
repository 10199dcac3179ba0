"""Series of the sensitivity figure are found by comparing searches."""

from fake_sweep import fake_sweep, paper_plan
from msgspec.structs import replace

from membench.report.data import report_rows
from membench.report.sensitivity import difference, sensitivity_series
from membench.units import GIB


def test_each_setting_is_one_series_through_the_main_value() -> None:
    result = fake_sweep()
    rows = report_rows(result)
    series = {one.knob: one for one in sensitivity_series(rows) if one.variant == "reversible"}
    assert {knob: one.labels for knob, one in series.items()} == {
        "budget (GiB)": ("8", "16", "32"),
        "expansion factor": ("2", "4", "6"),
        "blocks per stage": ("1", "2", "4"),
    }
    main = next(row for row in rows if (row.axis, row.variant, row.sensitivity) == ("volume", "reversible", False))
    for one in series.values():
        assert one.main is not None
        point = one.points[one.main]
        assert point is not None
        assert point.ratio == main.ratio
        assert None not in one.points


def test_budgets_of_the_main_searches_are_a_series_too() -> None:
    swept = replace(paper_plan(budgets=[8 * GIB, 16 * GIB], axes=["volume"]), sensitivity=())
    series = sensitivity_series(report_rows(fake_sweep(swept=swept)))
    assert {one.knob for one in series} == {"budget (GiB)"}
    assert {one.labels for one in series} == {("8", "16")}


def test_a_series_has_a_gap_where_the_ratio_is_unknown() -> None:
    result = fake_sweep()
    position = next(n for n, s in enumerate(result.sensitivity) if s.search.probe.strategy == "reversible")
    changed = list(result.sensitivity)
    changed[position] = replace(changed[position], finished=False)
    series = sensitivity_series(report_rows(replace(result, sensitivity=tuple(changed))))
    assert sum(point is None for one in series for point in one.points) == 1


def test_a_difference_is_named_with_its_unit() -> None:
    rows = report_rows(fake_sweep())
    told = {difference(row, rows) for row in rows}
    assert {"", "budget 8 GiB", "expansion factor 4", "blocks per stage 1"} <= told
