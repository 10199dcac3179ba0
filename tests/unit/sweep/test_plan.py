import msgspec
import pytest

from membench.errors import UsageError
from membench.search import Axis
from membench.sweep import Preset, plan
from membench.sweep.preset import Tradeoff
from membench.units import GIB

PRESET = msgspec.convert(
    {
        "title": "three axes",
        "budgets": ["16GiB"],
        "network": {"norm_groups": 4},
        "variant": [
            {"strategy": "plain", "baseline": True},
            {"strategy": "plain", "coupling": "none", "baseline": True},
            {"strategy": "reversible"},
        ],
        "search": [
            {"axis": "blocks", "network": {"base_channels": 64}, "probe": {"volume": "48x64x64"}},
            {"axis": "volume", "start": {"plain": 64}, "ratio": [240, 240, 155]},
            {"axis": "channels", "start": 48, "limit": 512},
        ],
        "claim": [
            {"claim": "volume", "axis": "volume", "paper_ratio": 3.0},
            {"claim": "depth", "axis": "blocks", "paper_ratio": 1.25},
        ],
        "sensitivity": [
            {"parameter": "expansion", "values": [2, 6], "variants": ["plain", "reversible"]},
            {"parameter": "budget", "values": ["8GiB"], "variants": ["reversible"], "start": 128},
            {"parameter": "blocks", "values": [1], "variants": ["plain (uncoupled)"]},
        ],
    },
    Preset,
)


TRADEOFF = msgspec.structs.replace(
    PRESET,
    tradeoff=(Tradeoff(strategies=("plain", "reversible", "reversible:plain:plain:plain"), volume="64x64x48"),),
)


def described(searches) -> list[tuple[str, str]]:
    return [(search.axis, search.probe.variant) for search in searches]


def test_every_axis_is_searched_for_every_variant_in_the_order_of_the_preset():
    variants = ["plain", "plain (uncoupled)", "reversible"]

    planned = plan(PRESET)

    assert described(planned.searches) == [(a, v) for a in ("blocks", "volume", "channels") for v in variants]
    assert planned.baselines == ("plain", "plain (uncoupled)")
    assert {search.probe.budget for search in planned.searches} == {16 * GIB}


def test_a_search_changes_the_presets_own_network_and_probe():
    blocks, volume, channels = (plan(PRESET).searches[index] for index in (0, 3, 6))

    assert blocks.probe.network.base_channels == 64
    assert blocks.probe.network.norm_groups == 4
    assert blocks.probe.volume == (48, 64, 64)
    assert volume.probe.network.base_channels == 32
    assert volume.ratio == (240, 240, 155)
    assert volume.start == 64
    assert (channels.start, channels.limit) == (48, 512)


def test_a_start_by_variant_is_for_that_variant_alone():
    starts = {search.probe.variant: search.start for search in plan(PRESET).searches if search.axis == "volume"}

    assert starts == {"plain": 64, "plain (uncoupled)": None, "reversible": None}


def test_sensitivity_changes_one_parameter_of_a_main_search_and_repeats_none():
    planned = plan(PRESET)

    assert [(s.probe.variant, s.probe.network.expansion, s.probe.network.blocks, s.probe.budget) for s in
            planned.sensitivity] == [
        ("plain", 2, 2, 16 * GIB),
        ("reversible", 2, 2, 16 * GIB),
        ("reversible", 6, 2, 8 * GIB),
        ("plain (uncoupled)", 6, 1, 16 * GIB),
    ]  # fmt: skip
    assert planned.all_searches == planned.searches + planned.sensitivity


def test_claims_point_at_their_searches():
    planned = plan(PRESET)

    assert [(c.claim, c.paper_ratio) for c in planned.claims] == [("volume", 3.0), ("depth", 1.25)]
    for claim, axis in zip(planned.claims, ("volume", "blocks"), strict=True):
        pair = [planned.searches[claim.reference], planned.searches[claim.candidate]]
        assert described(pair) == [(axis, "plain"), (axis, "reversible")]


def test_the_command_line_replaces_what_the_preset_says():
    planned = plan(PRESET, device="t4-16gb", budgets=[8 * GIB, 12 * GIB], strategies=["reversible"], axes=["volume"])

    assert described(planned.searches) == [("volume", "reversible")] * 2
    assert [search.probe.budget for search in planned.searches] == [8 * GIB, 12 * GIB]
    assert {search.probe.device for search in planned.all_searches} == {"t4-16gb"}
    assert planned.claims == ()
    assert planned.baselines == ()
    assert {search.probe.variant for search in planned.sensitivity} == {"reversible"}


def test_claims_are_made_at_the_first_budget():
    planned = plan(PRESET, budgets=[8 * GIB, 32 * GIB])

    assert len(planned.claims) == 2
    for claim in planned.claims:
        assert planned.searches[claim.reference].probe.budget == 8 * GIB
        assert planned.searches[claim.candidate].probe.budget == 8 * GIB


def test_a_strategy_keeps_its_variants_and_a_new_one_is_added():
    planned = plan(PRESET, strategies=["plain", "reversible-sliced"], axes=["blocks"])

    assert [variant for _, variant in described(planned.searches)] == [
        "plain",
        "plain (uncoupled)",
        "reversible-sliced",
    ]


def test_a_start_moves_with_the_budget():
    starts = {search.axis: search.start for search in plan(PRESET, budgets=[2 * GIB]).searches if search.start}
    study = plan(PRESET).sensitivity[2]

    assert starts == {"volume": 32, "channels": 16}  # an eighth of the budget: half the side, sqrt(1/8) the channels
    assert study.start == 101  # 128 * (1/2)**(1/3)
    assert Axis(study).first_guess == 12


def test_an_axis_that_the_preset_does_not_search_is_refused():
    with pytest.raises(UsageError, match="axis 'stages'; it has blocks, volume, channels"):
        plan(PRESET, axes=["stages"])


def test_a_plan_is_the_same_after_it_was_written_and_read():
    planned = plan(PRESET)

    assert msgspec.json.decode(msgspec.json.encode(planned), type=type(planned)) == planned


def test_a_trade_off_is_single_probes_with_what_they_compute():
    priced = plan(TRADEOFF, budgets=[GIB]).tradeoff

    plain, reversible, mixed = priced
    assert {each.probe.volume for each in priced} == {(64, 64, 48)}
    assert {each.probe.budget for each in priced} == {None}
    assert 1.0 == plain.recomputation < mixed.recomputation < reversible.recomputation
    assert mixed.probe.strategy == "reversible:plain:plain:plain"


def test_a_trade_off_follows_the_chosen_strategies_and_is_no_axis():
    assert [each.probe.strategy for each in plan(TRADEOFF, strategies=["reversible"]).tradeoff] == ["reversible"]
    assert plan(TRADEOFF, axes=["volume"]).tradeoff == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ("nonsense",)}, "tradeoff, nonsense: there is no strategy"),
        ({"strategies": ("plain:plain",)}, "2 strategies for 4 stages"),
        ({"volume": "65"}, "does not divide"),
        ({"network": {"stage": 3}}, "tradeoff: .*stage"),
    ],
)
def test_a_trade_off_that_cannot_be_run_is_refused(changes, message):
    broken = msgspec.structs.replace(TRADEOFF.tradeoff[0], **changes)
    with pytest.raises(UsageError, match=message):
        plan(msgspec.structs.replace(TRADEOFF, tradeoff=(broken,)))


def test_a_search_can_be_for_some_variants():
    blocks = msgspec.structs.replace(PRESET.search[0], variants=("plain", "reversible"))
    preset = msgspec.structs.replace(PRESET, search=(blocks, *PRESET.search[1:]))

    def variants(axis, **choices):
        searches = plan(preset, **choices).searches
        return [search.probe.variant for search in searches if search.axis == axis]

    assert variants("blocks") == ["plain", "reversible"]
    assert variants("volume") == ["plain", "plain (uncoupled)", "reversible"]
    assert variants("blocks", strategies=["plain", "checkpoint"]) == ["plain", "checkpoint"]
