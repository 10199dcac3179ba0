"""Options are made from the records, and the commands that reports print are read back as the probes they came from."""

import shlex

import msgspec
import pytest
from running import Run

from membench.cli.options import HELP, parse_ratio
from membench.errors import UsageError
from membench.report import measure_command
from membench.spec import NetworkSpec, ProbeSpec
from membench.train.spec import TrainSpec
from membench.units import GIB

ODD = ProbeSpec(
    network=NetworkSpec(
        in_channels=1,
        out_channels=2,
        base_channels=48,
        stages=3,
        blocks=5,
        channel_multiplier=1.5,
        max_channels=96,
        block="conv",
        expansion=3,
        kernel_size=5,
        squeeze_excitation=True,
        coupling="none",
        norm="instance",
        norm_groups=4,
        upsampling="trilinear",
        skip="concat",
        dropout=0.25,
    ),
    volume=(64, 96, 128),
    batch=2,
    strategy="plain:reversible-sliced:checkpoint",
    slices=3,
    precision="bf16",
    tf32=False,
    optimizer="sgd",
    optimizer_implementation="for-loop",
    steps=3,
    device="t4-16gb",
    budget=4 * GIB + 1,
    allocator="expandable_segments:True",
    timeout=12.5,
)


def test_the_odd_probe_changes_every_field() -> None:
    for record, default in ((ODD, ProbeSpec()), (ODD.network, NetworkSpec())):
        unchanged = [name for name in record.__struct_fields__ if getattr(record, name) == getattr(default, name)]
        assert unchanged == []


def test_every_field_has_an_option_and_no_other_help_is_kept() -> None:
    records = (ProbeSpec, NetworkSpec, TrainSpec)
    fields = {name for record in records for name in record.__struct_fields__} - {"network"}
    assert set(HELP) == fields


@pytest.mark.parametrize(
    "spec", [ODD, ProbeSpec(budget=16 * GIB), ProbeSpec(), msgspec.structs.replace(ODD, tf32=True)]
)
def test_a_printed_command_runs_exactly_its_probe(cli: Run, probes: list[ProbeSpec], spec: ProbeSpec) -> None:
    words = shlex.split(measure_command(spec))
    assert words[:2] == ["membench", "measure"]
    cli(*words[1:])
    assert probes == [spec]


@pytest.mark.parametrize(("text", "slices"), [("auto", None), ("1", 1), ("12", 12)])
def test_slices_are_read(cli: Run, probes: list[ProbeSpec], text: str, slices: int | None) -> None:
    cli("measure", "--slices", text)
    assert [probe.slices for probe in probes] == [slices]


def test_ratio_is_read() -> None:
    assert parse_ratio("240:240:155") == (240, 240, 155)


@pytest.mark.parametrize("text", ["", "1:1", "1:1:1:1", "0:1:1", "a:b:c", "240x240x155", "1.5:1:1"])
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a ratio"):
        parse_ratio(text)
