"""Memory against recomputation: which strategies lead, and what the files and the page say of them."""

import csv
import io
from pathlib import Path

import pytest
from fake_sweep import World, fake_sweep, paper_plan
from msgspec.structs import replace

from membench.report import write_report
from membench.report.tables import tradeoff_csv
from membench.report.tradeoff import Price, prices
from membench.report.words import short_mix
from membench.result import Measurement, Status
from membench.spec import ProbeSpec
from membench.store import Provenance
from membench.sweep import Plan, PricedProbe, SweepResult
from membench.sweep.result import assemble, single
from membench.units import GIB


def priced(**strategies: tuple[float, float, Status]) -> tuple[Price, ...]:
    """Strategies by name, each with its recomputation, its peak in GiB and how its probe ended."""
    result = fake_sweep(swept=replace(paper_plan(axes=["volume"]), sensitivity=()))
    probes, points = [], []
    for name, (recomputation, peak, status) in strategies.items():
        spec = ProbeSpec(strategy=name)
        host = GIB if name == "offload" else 0
        found = Measurement(spec=spec, status=status, peak_reserved_bytes=int(peak * GIB), host_bytes=host)
        probes.append(PricedProbe(probe=spec, recomputation=recomputation))
        points.append(single(found))
    (members,) = prices(replace(result, plan=replace(result.plan, tradeoff=tuple(probes)), tradeoff=tuple(points)))
    return members


def leading(members: tuple[Price, ...]) -> set[str]:
    return {price.strategy for price in members if price.on_front}


def test_a_strategy_leads_if_none_needs_less_without_computing_more() -> None:
    members = priced(
        plain=(1.0, 38, "fits"), selective=(1.2, 18, "fits"), wasteful=(1.25, 18, "fits"), thrifty=(1.3, 7, "fits")
    )
    assert leading(members) == {"plain", "selective", "thrifty"}


def test_of_equal_cost_the_smaller_leads_and_equals_lead_together() -> None:
    members = priced(first=(1.3, 7, "fits"), second=(1.3, 7, "fits"), third=(1.3, 11, "fits"))
    assert leading(members) == {"first", "second"}


def test_neither_what_does_not_fit_nor_what_pays_in_copies_leads_or_beats() -> None:
    members = priced(plain=(1.0, 2, "oom"), offload=(1.0, 1, "fits"), reversible=(1.3, 7, "fits"))
    assert leading(members) == {"reversible"}
    by_name = {row["strategy"]: row for row in csv.DictReader(io.StringIO(tradeoff_csv(members)))}
    assert by_name["plain"]["peak_reserved_bytes"] == "", "how far a probe got is not what it needs"
    assert by_name["offload"]["host_bytes"] == str(GIB)
    assert by_name["reversible"]["on_front"] == "True"


def test_the_one_that_computes_least_comes_first() -> None:
    members = priced(b=(1.3, 7, "fits"), a=(1.0, 9, "fits"), c=(1.3, 5, "fits"))
    assert [price.strategy for price in members] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("plain", "plain"),
        ("reversible:plain:plain:plain", "reversible, plain ×3"),
        ("a:b:a:a", "a, b, a ×2"),
    ],
)
def test_a_mix_is_named_without_repetition(strategy: str, words: str) -> None:
    assert short_mix(strategy) == words


def two_volumes() -> Plan:
    full = paper_plan()
    smaller = tuple(replace(each, probe=replace(each.probe, volume=(64, 64, 64))) for each in full.tradeoff)
    return replace(full, sensitivity=(), tradeoff=(*full.tradeoff, *smaller))


def test_each_volume_has_a_figure_of_its_own(tmp_path: Path) -> None:
    write_report(fake_sweep(swept=two_volumes()), tmp_path)
    assert {path.name for path in tmp_path.glob("tradeoff*.svg")} == {"tradeoff.svg", "tradeoff-2.svg"}
    page = (tmp_path / "index.html").read_text()
    assert page.count("What each strategy needs at") == 4, "two captions, each a label too"


def without_singles(result: SweepResult) -> SweepResult:
    return replace(result, tradeoff=(None,) * len(result.tradeoff))


def test_probes_that_were_not_run_are_missed_and_not_drawn(tmp_path: Path) -> None:
    result = without_singles(fake_sweep())
    assert not result.complete
    write_report(result, tmp_path)
    assert not list(tmp_path.glob("tradeoff*"))
    assert f"{len(result.tradeoff)} of" in (tmp_path / "index.html").read_text()


def test_a_device_too_small_for_some_is_said(tmp_path: Path) -> None:
    def outcome(spec: ProbeSpec) -> Status | None:
        return "oom" if spec.budget is None and spec.strategy == "plain" else None

    write_report(fake_sweep(World(outcome=outcome)), tmp_path)
    assert "Crosses: more than the device has" in (tmp_path / "index.html").read_text()


def test_a_failed_single_probe_is_on_the_page_and_in_the_result(tmp_path: Path) -> None:
    planned = replace(paper_plan(axes=["volume"]), sensitivity=())
    result = fake_sweep(swept=planned)
    broken = Measurement(spec=ProbeSpec(strategy="selective"), status="crashed", message="killed by SIGSEGV")
    priced_probe = PricedProbe(probe=broken.spec, recomputation=1.2)
    provenance = Provenance(device=result.provenance.device, versions={})
    result = assemble(replace(planned, tradeoff=(priced_probe,)), provenance, result.searches, [single(broken)])
    assert result.failed
    write_report(result, tmp_path)
    assert "killed by SIGSEGV" in (tmp_path / "index.html").read_text()
    assert not (tmp_path / "tradeoff.png").exists(), "it says nothing about memory"
