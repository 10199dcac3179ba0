import re

import pytest

from membench.errors import UsageError
from membench.sweep import load_preset, plan, presets

SMALL = """
title = "small"
device = "a100-40gb"
budgets = ["2GiB"]
[[variant]]
strategy = "plain"
baseline = true
[[variant]]
strategy = "reversible"
[[search]]
axis = "volume"
"""


def written(tmp_path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_presets_that_come_with_membench_can_be_planned():
    assert presets() == ("paper", "quick")
    for name in presets():
        preset = load_preset(name)
        assert preset.assumptions
        planned = plan(preset)
        assert planned.searches
        assert {claim.paper_ratio for claim in planned.claims} <= {3.0, 1.25, 2.0}


def test_the_paper_preset_is_what_the_issue_asks_for():
    planned = plan(load_preset("paper"))

    assert [(claim.claim, claim.paper_ratio) for claim in planned.claims] == [
        ("volume", 3.0),
        ("depth", 1.25),
        ("channels", 2.0),
    ]
    for claim in planned.claims:
        reference, candidate = planned.searches[claim.reference], planned.searches[claim.candidate]
        assert (reference.probe.variant, candidate.probe.variant) == ("plain", "reversible")
        assert reference.axis == candidate.axis == {"depth": "blocks"}.get(claim.claim, claim.claim)
    variants = {"plain", "plain (uncoupled)", "checkpoint", "reversible"}
    for axis, also in (("volume", {"reversible-sliced"}), ("blocks", set()), ("channels", {"reversible-sliced"})):
        assert {search.probe.variant for search in planned.searches if search.axis == axis} == variants | also
    compared = {priced.probe.strategy: priced.recomputation for priced in planned.tradeoff}
    assert compared["plain"] == 1.0 < compared["reversible"] < compared["reversible-sliced"]
    for search in planned.searches:
        assert search.probe.budget == 16 * 1024**3
        assert (search.probe.network.expansion, search.probe.network.stages) == (6, 4)
    assert planned.baselines == ("plain", "plain (uncoupled)")


def test_a_copied_preset_is_read_from_its_path(tmp_path):
    assert load_preset(written(tmp_path, SMALL)).title == "small"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("title = ", "titel = "), "titel"),
        (('budgets = ["2GiB"]', "budgets = [2]"), "budgets[0]"),
        (('axis = "volume"', 'axis = "width"'), "search[0].axis"),
        (('axis = "volume"', 'axis = "volume"\nstrat = 3'), "strat"),
        (('axis = "volume"', 'axis = "volume"\nstart = {plane = 64}'), "search[0].start"),
        (('strategy = "plain"', "strategy = 7"), "variant[0].strategy"),
        (('budgets = ["2GiB"]', "budgets = []"), "budgets"),
        (('title = "small"', 'title = "small'), "line 2"),
        (("[[search]]", '[[claim]]\nclaim="depth"\naxis="blocks"\npaper_ratio=1.25\n[[search]]'), "claim[0].axis"),
        (("[[search]]", '[[claim]]\nclaim="volume"\naxis="volume"\npaper_ratio=3\ncandidate="x"\n[[search]]'), "'x'"),
        (("[[search]]", '[[sensitivity]]\nparameter="width"\nvalues=[1]\nvariants=[]\n[[search]]'), "parameter"),
        (("[[search]]", '[[sensitivity]]\nparameter="blocks"\nvalues=[1]\nvariants=["z"]\n[[search]]'), "'z'"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_field(tmp_path, change, named):
    text = SMALL.replace(*change)
    assert text != SMALL
    path = written(tmp_path, text)

    with pytest.raises(UsageError, match=re.escape(named)) as error:
        load_preset(path)
    assert path in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("network = {stagez = 3}", "stagez"),
        ('network = {stages = "three"}', "stages"),
        ('probe = {volume = "12by12"}', "12by12"),
        ("probe = {precision = 'fp8'}", "precision"),
        ("network = {base_channels = 24}", "24 channels"),
        ("limit = 4", "below its first value"),
    ],
)
def test_a_search_that_cannot_be_run_is_refused_when_planning(tmp_path, added, named):
    with pytest.raises(UsageError, match=re.escape(named)) as error:
        plan(load_preset(written(tmp_path, SMALL + added)))
    assert "\n" not in str(error.value)


def _with_strategies(tmp_path, strategy: str, stages: int = 4):
    path = tmp_path / "mine.toml"
    path.write_text(
        f'title = "mine"\nbudgets = ["16GiB"]\n[network]\nstages = {stages}\n[[variant]]\nstrategy = {strategy}\n'
        f'[[search]]\naxis = "volume"\n[[tradeoff]]\nstrategies = [{strategy}, "plain"]\n'
    )
    return load_preset(str(path))


@pytest.mark.parametrize(
    ("table", "joined"),
    [
        ('{ 1 = "reversible-sliced", 2 = "reversible", others = "plain" }', "reversible-sliced:reversible:plain:plain"),
        ('{ others = "plain", 4 = "checkpoint" }', "plain:plain:plain:checkpoint"),
        ('{ 1 = "a", 2 = "b", 3 = "c", 4 = "d" }', "a:b:c:d"),
        ('"reversible:plain:plain:plain"', "reversible:plain:plain:plain"),
    ],
)
def test_a_strategy_for_each_stage_may_be_a_table(tmp_path, table, joined):
    preset = _with_strategies(tmp_path, table)
    assert [variant.strategy for variant in preset.variant] == [joined]
    assert preset.tradeoff[0].strategies == (joined, "plain")


@pytest.mark.parametrize(
    ("table", "stages", "named"),
    [
        ('{ 5 = "plain", others = "plain" }', 4, "there is no stage '5'; the stages are 1, 2, 3, 4, or others"),
        ('{ 1 = "plain" }', 2, "stage 2 has no strategy"),
        ("{ 1 = 3, 2 = 4 }", 2, "name of a strategy, not 3"),
        ("{}", 1, "stage 1 has no strategy"),
    ],
)
def test_a_table_of_strategies_that_cannot_be_read_is_refused(tmp_path, table, stages, named):
    with pytest.raises(UsageError, match=re.escape(named)) as refused:
        _with_strategies(tmp_path, table, stages)
    assert "mine.toml: variant[0].strategy" in str(refused.value)


def test_a_preset_that_is_not_there_lists_those_that_are():
    with pytest.raises(UsageError, match="paper, quick"):
        load_preset("papre")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_preset(str(path))
