"""Models of the user's own on the command line, without a device."""

import json
import shlex

import msgspec
import pytest
from running import Run

from membench.report import measure_command
from membench.spec import ModelSpec, ProbeSpec
from membench.units import GIB

ODD = ModelSpec(
    factory="nets.odd:Net.make",
    arguments={
        "widths": [1, 2],
        "name": "a b",
        "deep": True,
        "rate": 0.5,
        "size": "{volume}",
        "none": None,
        "four": "4",
    },
    inputs=("{batch}x4x{volume}", "ids={n}:int64"),
    targets=("{batch}x3x{volume}:uint8",),
    loss="nets:loss",
    values={"n": 7},
)
STEP = ModelSpec(step="nets:training", arguments={"n": "{n}"}, values={"n": 3})
MODEL = ("--model", "nets:unet", "--input", "1x4x{volume}")


@pytest.mark.parametrize(
    "spec",
    [
        ProbeSpec(network=ODD, strategy="offload", volume=(8, 16, 24), batch=2, optimizer="rmsprop", budget=GIB),
        ProbeSpec(network=STEP, strategy="plain"),
    ],
)
def test_a_printed_command_runs_exactly_its_probe(cli: Run, probes: list[ProbeSpec], spec: ProbeSpec) -> None:
    ended = cli(*shlex.split(measure_command(spec))[1:])
    assert ended.code == 0, ended.err
    assert probes == [spec]


def test_a_model_is_measured_as_it_is_unless_told_otherwise(cli: Run, probes: list[ProbeSpec]) -> None:
    ended = cli("measure", *MODEL, "--json")
    assert [probe.strategy for probe in probes] == ["plain"]
    document = json.loads(ended.out)
    assert document["floor_bytes"] is None
    assert document["spec"]["network"]["factory"] == "nets:unet"
    assert "1x4x64x64x64" in cli("measure", *MODEL, "--volume", "64").out
    assert "2 steps of your own" in cli("measure", "--step", "nets:training").out


def test_any_name_in_a_shape_is_an_axis(cli: Run, probes: list[ProbeSpec]) -> None:
    words = "search --axis n --model a:b --input {n}x4 --multiple 8 --budget 32GiB --json"
    ended = cli(*words.split())
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    # The made-up device takes 256 bytes n times for each voxel of a volume of 128^3.
    assert (found["largest_fit"]["value"], found["smallest_unfit"]["value"]) == (64, 72)
    assert len(probes) == len(found["probes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("measure", *MODEL, "--stages", "4"), "--stages is not for --model: a model of your own has no such setting"),
        (("measure", *MODEL, "--slices", "4"), "--slices is not for --model"),
        (("measure", "--step", "a:b", "--optimizer", "adam"), "--optimizer is not for --step: --step does that itself"),
        (("measure", "--step", "a:b", *MODEL), "name either a model"),
        (("measure", "--input", "4"), "--input is for a model of your own"),
        (("measure", "--set", "n=4"), "--set is for a model of your own"),
        (("measure", *MODEL, "--set", "n"), "'n' sets nothing"),
        (("measure", *MODEL, "--set", "n=4"), "{n} stands in no shape"),
        (("measure", *MODEL, "--model-arg", "n"), "'n' is no argument"),
        (("measure", *MODEL, "--strategy", "reversible"), "strategy plain or offload, not reversible"),
        (("measure", *MODEL, "--strategy", "auto"), "strategy plain or offload, not auto"),
        (("measure", "--model", "a:b"), "say what a:b is given"),
        (("search", *MODEL, "--axis", "n"), "there is no axis n; this network has volume"),
        (("search", "--model", "a:b", "--input", "4", "--axis", "n"), "put {n} in a shape or an argument"),
        (("search", *MODEL, "--axis", "volume", "--multiple", "0"), "multiples of at least 1"),
        (("search", "--axis", "n"), "there is no axis n; this network has volume, stages"),
        (("recommend", *MODEL, "--strategy", "reversible"), "strategy plain or offload, not reversible"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    cli: Run, probes: list[ProbeSpec], arguments: tuple[str, ...], message: str
) -> None:
    ended = cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert probes == []


def test_the_model_of_a_search_is_told_apart_by_its_record() -> None:
    assert len({ODD, STEP, msgspec.structs.replace(STEP)}) == 2
