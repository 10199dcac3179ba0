"""The tables say what the searches found, and nothing that differs between two runs."""

import io
import json

import pandas as pd
import pytest
from fake_sweep import VERSIONS, World, fake_sweep, paper_plan, troubled_sweep

from membench.report.data import report_rows
from membench.report.tables import claims_json, probes_csv, searches_csv
from membench.sweep import claims
from membench.units import GIB

RESULT = fake_sweep()
ROWS = report_rows(RESULT)


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_a_search_has_one_line_with_its_certificate() -> None:
    table = read(searches_csv(ROWS)).set_index(["axis", "variant", "purpose"])
    for search in RESULT.searches:
        line = table.loc[(search.search.axis, search.search.probe.variant, "main")]
        assert search.largest_fit is not None
        assert search.smallest_unfit is not None
        assert line["largest_fit_extent"] == search.largest_fit.extent
        assert line["smallest_unfit_extent"] == search.smallest_unfit.extent
        assert line["peak_reserved_bytes"] == search.largest_fit.measurement.peak_reserved_bytes
        assert line["budget_bytes"] == 16 * GIB
        assert line["probes"] == len(search.probes)
    assert len(table) == len(RESULT.all_searches)


def test_ratios_are_to_the_baseline_of_the_same_axis_budget_and_network() -> None:
    table = read(searches_csv(ROWS))
    for _, line in table.iterrows():
        same = table[(table.axis == line.axis) & (table.budget_bytes == line.budget_bytes)]
        same = same[(same.fixed_expansion == line.fixed_expansion) & (same.variant == "plain")]
        same = same[same.fixed_blocks.fillna(0) == (0 if pd.isna(line.fixed_blocks) else line.fixed_blocks)]
        assert len(same) == 1
        assert line.ratio_to_plain == line.largest_fit_extent / same.largest_fit_extent.item()


def test_volumes_are_written_as_the_command_line_reads_them() -> None:
    table = read(searches_csv(ROWS))
    for _, line in table[table.axis == "volume"].iterrows():
        side = int(line.largest_fit.split("x")[0])
        assert line.largest_fit == f"{side}x{side}x{side}"
        assert side**3 == line.largest_fit_extent


def test_integers_stay_integers_beside_gaps() -> None:
    text = searches_csv(report_rows(troubled_sweep()))
    table = pd.read_csv(io.StringIO(text), dtype=str)
    assert table.largest_fit_extent.isna().any()
    assert not table.largest_fit_extent.dropna().str.contains(".", regex=False).any()


def test_trouble_is_told() -> None:
    table = read(searches_csv(report_rows(troubled_sweep())))
    assert table.limit_reached.any()
    assert (~table.certified).sum() == 2
    assert table.holes.notna().any()
    assert table[table.variant == "plain (uncoupled)"].largest_fit.isna().all()
    assert table[~table.certified].ratio_to_plain.isna().all()


def test_a_probe_has_one_line_in_each_search_with_every_field() -> None:
    table = read(probes_csv(ROWS))
    assert len(table) == sum(len(search.probes) for search in RESULT.all_searches)
    point = RESULT.searches[0].probes[1]
    line = table[table.probe == point.measurement.spec.key()].iloc[0]
    for name in ("peak_allocated_bytes", "peak_reserved_bytes", "peak_requested_bytes", "parameters", "status"):
        assert line[name] == getattr(point.measurement, name)
    assert line.device_total_bytes == point.measurement.device.total_bytes
    assert line.version_torch == VERSIONS["torch"]
    assert line.spec_budget == point.measurement.spec.budget
    assert line.network_expansion == point.measurement.spec.network.expansion
    assert line.command.startswith("membench measure --device a100-40gb --budget 16GiB")
    assert "seconds" not in table.columns


def test_claims_rest_on_two_certificates() -> None:
    documents = json.loads(claims_json(claims(RESULT)))
    assert [document["claim"] for document in documents] == ["volume", "depth", "channels"]
    for document in documents:
        reference, candidate = document["reference"], document["candidate"]
        assert reference["strategy"] == "plain"
        assert candidate["strategy"] == "reversible"
        ratio = candidate["largest_fit"]["extent"] / reference["largest_fit"]["extent"]
        assert document["measured_ratio"] == ratio
        assert document["reproduced"] == (ratio >= document["paper_ratio"])
        assert candidate["largest_fit"]["measurement"]["status"] == "fits"
        assert candidate["smallest_unfit"]["measurement"]["status"] == "oom"
        assert candidate["largest_fit"]["command"].startswith("membench measure ")


def test_wall_times_change_no_table() -> None:
    slower = fake_sweep(World(seconds=99.0))
    assert searches_csv(report_rows(slower)) == searches_csv(ROWS)
    assert probes_csv(report_rows(slower)) == probes_csv(ROWS)
    assert claims_json(claims(slower)) == claims_json(claims(RESULT))


@pytest.mark.parametrize("strategies", [["reversible"], ["plain", "checkpoint"]])
def test_columns_of_ratios_are_the_baselines_of_the_sweep(strategies: list[str]) -> None:
    table = read(searches_csv(report_rows(fake_sweep(swept=paper_plan(strategies=strategies)))))
    wanted = ["ratio_to_plain", "ratio_to_plain_uncoupled"] if "plain" in strategies else []
    assert [name for name in table.columns if name.startswith("ratio_to_")] == wanted
