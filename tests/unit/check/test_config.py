from pathlib import Path

import pytest

from membench.check import find_config, load_config
from membench.check.baseline import settings_of
from membench.errors import UsageError
from membench.spec import ModelSpec, NetworkSpec, ProbeSpec

WHOLE = """
baseline = "b.json"
fail_on = ["peak:5%"]

[defaults]
device = "t4-16gb"
stages = 3

[[case]]
name = "small"
volume = "64"
budget = "4GiB"
limit = "3GiB"

[[case]]
name = "large"
device = "a100-40gb"
strategy = "plain"
precision = "bf16"
optimizer = "sgd"
fail_on = ["reserved:64MiB"]
"""


def test_a_whole_configuration(tmp_path: Path) -> None:
    (tmp_path / "membench.toml").write_text(WHOLE)
    config = load_config(find_config(tmp_path))
    assert config.baseline == tmp_path / "b.json"
    assert [str(threshold) for threshold in config.fail_on] == ["peak:5%"]
    small, large = config.cases
    assert small.probe == ProbeSpec(
        network=NetworkSpec(stages=3), volume=(64, 64, 64), budget=4 * 2**30, device="t4-16gb"
    )
    assert (small.limit, small.fail_on, small.line) == (3 * 2**30, None, 9)
    assert (large.probe.device, large.probe.precision, large.probe.optimizer) == ("a100-40gb", "bf16", "sgd")
    assert [str(threshold) for threshold in large.fail_on or ()] == ["reserved:64MiB"]


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "membench.toml").write_text(
        """
        [defaults]
        device = "t4-16gb"
        stages = 3
        strategy = "reversible-sliced"

        [[case]]
        name = "mine"
        model = "package.module:factory"
        arguments = { in_channels = 4 }
        input = "{batch}x4x{side}x{side}"
        values = { side = 64 }
        batch = 2

        [[case]]
        name = "whole step"
        step = "package.module:step"
        """
    )
    mine, step = load_config(tmp_path / "membench.toml").cases
    assert mine.probe == ProbeSpec(
        network=ModelSpec(
            factory="package.module:factory",
            arguments={"in_channels": 4},
            inputs=("{batch}x4x{side}x{side}",),
            values={"side": 64},
        ),
        batch=2,
        strategy="plain",
        device="t4-16gb",
    )
    assert settings_of(mine.probe) == {
        "model": "package.module:factory",
        "arguments": {"in_channels": 4},
        "input": ["{batch}x4x{side}x{side}"],
        "values": {"side": 64},
        "batch": 2,
        "strategy": "plain",
    }
    assert step.probe.network == ModelSpec(step="package.module:step")


def test_pyproject_is_read_where_there_is_no_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(UsageError, match=r"there is no membench\.toml here"):
        find_config(tmp_path)
    (tmp_path / "pyproject.toml").write_text('\n[[tool.membench.case]]\nname = "x"\n')
    config = load_config(find_config(tmp_path))
    assert [(case.name, case.line) for case in config.cases] == [("x", 2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`case`"),
        ("case = []", "there is no [[case]]"),
        ("[[case]]", "case 1: name must be a text that is not empty"),
        ("[[case]]\nname = ' '", "case 1: name must be"),
        ("[[case]]\nname = 'x'\n[[case]]\nname = 'x'", "two cases are named 'x'"),
        ("[[case]]\nname = 'x'\nvolum = '64'", "case 'x': volum: there is no such key; did you mean volume?"),
        ("[[case]]\nname = 'x'\nvolume = 64", "case 'x': volume: write it as text"),
        ("[[case]]\nname = 'x'\nvolume = '1x2'", "case 'x': volume: '1x2' is not a volume"),
        ("[[case]]\nname = 'x'\nstages = 'four'", "case 'x': stages: expected `int`"),
        ("[[case]]\nname = 'x'\nstages = 0", "case 'x': stages must be at least 1"),
        ("[[case]]\nname = 'x'\nprecision = 'fp8'", "case 'x': precision: invalid enum value 'fp8'"),
        ("[[case]]\nname = 'x'\nlimit = 'much'", "case 'x': limit: 'much' is not a size"),
        ("[[case]]\nname = 'x'\nlimit = 11", "case 'x': limit: expected `str | null`"),
        ("[[case]]\nname = 'x'\nfail_on = ['speed:1%']", "case 'x': fail_on: 'speed:1%' is not a threshold"),
        ("[[case]]\nname = 'x'\nstrategy = 'auto'", "case 'x': strategy: auto is chosen by measuring"),
        ("[[case]]\nname = 'x'\nmodel = 'a:b'", "case 'x': say what a:b is given"),
        ("[[case]]\nname = 'x'\nmodel = 'a:b'\ninput = '1x2y'", "case 'x': '1x2y' is not a shape"),
        ("[[case]]\nname = 'x'\nmodel = 'a:b'\ninput = 3", "case 'x': input: expected `array`"),
        ("[[case]]\nname = 'x'\nmodel = 'a:b'\ninput = '1x2'\nstages = 3", "case 'x': stages: there is no such key"),
        ("[[case]]\nname = 'x'\ninput = '1x2'", "case 'x': input: there is no such key"),
        ("fail_on = ['peak']\n[[case]]\nname = 'x'", "'peak' is not a threshold"),
        ("colour = 'red'\n[[case]]\nname = 'x'", "colour"),
        ("[[case]]\nname =", "Invalid value (at "),
        ("[defaults]\nbatch = 0\n[[case]]\nname = 'x'", "case 'x': batch must be at least 1"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "membench.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        load_config(file)
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            load_config(path)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(UsageError, match=r"latin\.toml"):
        load_config(tmp_path / "latin.toml")
