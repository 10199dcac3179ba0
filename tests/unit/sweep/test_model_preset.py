"""Presets that describe a network of the user's own."""

import re

import msgspec
import pytest

from membench.errors import UsageError
from membench.spec import ModelSpec
from membench.sweep import Plan, load_preset, plan
from membench.units import GIB

MINE = """
title = "mine"
device = "a100-40gb"
budgets = ["16GiB"]
[model]
factory = "nets:gpt"
arguments = { layers = 2 }
inputs = ["{batch}x{seq}:int64"]
values = { seq = 512 }
[probe]
optimizer = "adamw"
[[variant]]
strategy = "plain"
baseline = true
[[variant]]
strategy = "offload"
[[search]]
axis = "seq"
start = { plain = 1024 }
multiple = 64
probe = { batch = 8 }
[[search]]
axis = "batch"
[[sensitivity]]
parameter = "budget"
axis = "seq"
values = ["4GiB"]
variants = ["plain"]
"""
GPT = ModelSpec(factory="nets:gpt", arguments={"layers": 2}, inputs=("{batch}x{seq}:int64",), values={"seq": 512})


def planned(tmp_path, text: str = MINE, **choices) -> Plan:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return plan(load_preset(str(path)), **choices)


def test_every_axis_is_searched_with_the_model_for_every_strategy(tmp_path):
    found = planned(tmp_path)

    assert [(search.axis, search.probe.variant, search.probe.batch) for search in found.searches] == [
        ("seq", "plain", 8),
        ("seq", "offload", 8),
        ("batch", "plain", 1),
        ("batch", "offload", 1),
    ]
    assert {search.probe.network for search in found.all_searches} == {GPT}
    assert {search.probe.optimizer for search in found.all_searches} == {"adamw"}
    assert (found.searches[0].start, found.searches[0].multiple) == (1024, 64)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found


def test_budgets_are_studied_and_a_start_moves_with_the_root_of_one(tmp_path):
    found = planned(tmp_path, budgets=[16 * GIB, 64 * GIB])

    assert [search.start for search in found.searches if search.axis == "seq"] == [1024, None, 2048, None]
    (study,) = found.sensitivity
    assert (study.axis, study.start, study.probe.budget) == ("seq", 512, 4 * GIB)


def test_a_model_without_a_preset_for_its_values_takes_what_is_searched(tmp_path):
    text = MINE.replace("values = { seq = 512 }\n", "").replace('[[search]]\naxis = "batch"\n', "")
    assert {search.axis for search in planned(tmp_path, text).all_searches} == {"seq"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("[probe]", "[network]\nstages = 3\n[probe]"), "network is for membench's own networks"),
        (("[probe]", '[[claim]]\nclaim="volume"\naxis="volume"\npaper_ratio=3\n[probe]'), "claim is for membench's"),
        (("[probe]", '[[tradeoff]]\nstrategies=["plain"]\n[probe]'), "tradeoff is for membench's own networks"),
        (('parameter = "budget"', 'parameter = "blocks"'), "sensitivity on anything but the budget is for membench's"),
        (("baseline = true", 'coupling = "none"'), "variant.coupling is for membench's own networks"),
        (("multiple = 64", "network = { stages = 3 }"), "search.network is for membench's own networks"),
        (
            ('axis = "batch"', 'axis = "volume"'),
            "search[1].axis: there is no 'volume' in the network; it has batch, seq",
        ),
        (("factory =", "factor ="), "factor"),
    ],
)
def test_what_is_of_other_networks_is_refused_with_the_file(tmp_path, change, named):
    text = MINE.replace(*change)
    assert text != MINE
    with pytest.raises(UsageError, match=re.escape(named)) as refused:
        planned(tmp_path, text)
    assert "mine.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('"offload"', '"reversible"'), "axis seq, reversible: a model of your own is run as it is: strategy plain or"),
        (("values = { seq = 512 }\n", ""), "axis batch, plain: {seq} has no value"),
        (('["{batch}x{seq}:int64"]', "[]"), "axis seq, plain: to search axis seq, put {seq} in a shape"),
        (("factory =", "step = 'nets:step'\nfactory ="), "name either a model"),
    ],
)
def test_a_model_that_cannot_be_searched_is_refused_when_planning(tmp_path, change, named):
    text = MINE.replace(*change)
    assert text != MINE
    with pytest.raises(UsageError, match=re.escape(named)):
        planned(tmp_path, text)
