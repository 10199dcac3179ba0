"""Models of the user's own as records: their texts are read, their values put in, and what cannot be is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membench.arguments import parse_argument
from membench.errors import UsageError
from membench.model_spec import ModelSpec, Tensor
from membench.spec import ProbeSpec

NET = ModelSpec(factory="nets:unet", inputs=("1x4x{volume}",))


def probe(model: ModelSpec = NET, **changes: Any) -> ProbeSpec:
    return msgspec.structs.replace(ProbeSpec(network=model, strategy="plain"), **changes)


def test_values_are_put_into_shapes() -> None:
    model = ModelSpec(factory="a.b:c", inputs=("{batch}x4x{volume}", "ids={n}x{n}:int64"), values={"n": 5})
    assert model.tensors(model.inputs, (8, 16, 24), 2) == [
        Tensor("", (2, 4, 8, 16, 24), "float32"),
        Tensor("ids", (5, 5), "int64"),
    ]
    assert model.axes == ("batch", "volume", "n")


def test_values_are_put_into_arguments_as_what_they_are() -> None:
    model = msgspec.structs.replace(
        NET, arguments={"size": "{volume}", "widths": "[{n}, 2]", "name": "w{n}", "deep": {"a": ["{n}"]}, "x": "1"}
    )
    filled = msgspec.structs.replace(model, values={"n": 7}).keywords((1, 2, 3), 1)
    assert filled == {"size": [1, 2, 3], "widths": [7, 2], "name": "w7", "deep": {"a": [7]}, "x": "1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("1e-3", 1e-3),
        ("[32, 64]", [32, 64]),
        ("true", True),
        ("False", False),
        ("None", None),
        ("null", None),
        ("relu", "relu"),
        ('"4"', "4"),
        ("a=b", "a=b"),
        ("{n}", "{n}"),
        ("{a = 1}", {"a": 1}),
        ("nan", "nan"),
        ("2020-01-01", "2020-01-01"),
        ("", ""),
    ],
)
def test_arguments_are_literals_or_texts(text: str, value: object) -> None:
    assert parse_argument(f"name={text}") == ("name", value)


@pytest.mark.parametrize("text", ["4", "=4", "a b=4", ""])
def test_an_argument_has_a_name(text: str) -> None:
    with pytest.raises(UsageError, match="is no argument"):
        parse_argument(text)


SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=8)


@given(st.recursive(SCALARS | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=4))
def test_the_options_of_a_model_make_it_again(value: object) -> None:
    model = ModelSpec(
        factory="a:b", arguments={"x": value}, inputs=("4x{n}",), targets=("4",), loss="c:d", values={"n": 3}
    )
    options = list(model.options())
    arguments = dict(parse_argument(text) for name, text in options if name == "model-arg")
    assert arguments == {"x": value}
    assert [name for name, _ in options] == ["model", "model-arg", "input", "target", "loss", "set"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factory": ""}, "name either a model"),
        ({"step": "a:b"}, "name either a model"),
        ({"factory": "nets"}, "names no function"),
        ({"factory": "nets:"}, "names no function"),
        ({"factory": "a b:c"}, "names no function"),
        ({"loss": "nothing"}, "names no function"),
        ({"factory": "", "step": "a:b"}, "makes its inputs"),
        ({"inputs": ()}, "say what nets:unet is given"),
        ({"targets": ("4",)}, "targets are for a loss"),
        ({"targets": ("y=4",), "loss": "a:b"}, "have no names"),
        ({"inputs": ("1x{n}",)}, r"\{n\} has no value"),
        ({"values": {"n": 3}}, "stands in no shape"),
        ({"values": {"volume": 3}}, "is a setting of the probe"),
        ({"inputs": ("{n}",), "values": {"n": 0}}, "at least 1"),
        ({"inputs": ("1x",)}, "is not a shape"),
        ({"inputs": ("1x0x3",)}, "at least 1"),
        ({"inputs": ("4:float31",)}, "is not a dtype"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        probe(msgspec.structs.replace(NET, **changes)).validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "reversible"}, "plain or offload"),
        ({"strategy": "plain:plain"}, "plain or offload"),
        ({"batch": 2}, r"batch is set, but \{batch\}"),
        ({"network": ModelSpec(factory="a:b", inputs=("4",)), "volume": (8, 8, 8)}, r"volume is set, but \{volume\}"),
        ({"network": ModelSpec(step="a:b"), "strategy": "offload"}, "strategy plain, and no other"),
        ({"network": ModelSpec(step="a:b"), "precision": "bf16"}, "its own precision and optimizer"),
        ({"network": ModelSpec(step="a:b"), "optimizer": "sgd"}, "its own precision and optimizer"),
        ({"optimizer": "rmsprop", "optimizer_implementation": "fused"}, "no fused rmsprop"),
    ],
)
def test_a_probe_that_a_model_cannot_take_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        probe(**changes).validate()


def test_a_model_is_told_from_another_by_all_of_its_record() -> None:
    same = ModelSpec(factory="nets:unet", inputs=("1x4x{volume}",))
    other = msgspec.structs.replace(NET, arguments={"width": 4})
    assert hash(NET) == hash(same)
    assert {NET, same, other} == {NET, other}
    assert probe().key() == probe(same).key() != probe(other).key()
    assert msgspec.json.decode(msgspec.json.encode(probe(other)), type=ProbeSpec) == probe(other)


def test_a_question_for_our_own_networks_is_refused() -> None:
    with pytest.raises(UsageError, match="membench's own networks"):
        _ = probe().unet
