"""The command in a report repeats exactly the probe."""

import re
import shlex

import pytest
from msgspec.structs import replace

from membench.report import measure_command
from membench.spec import NetworkSpec, ProbeSpec
from membench.units import GIB, parse_bytes, parse_volume

OPTIONS = set(
    re.findall(
        r"\S+",
        """--device --budget --strategy --volume --batch --base-channels --stages --blocks --expansion
        --channel-multiplier --max-channels --block --kernel-size --squeeze-excitation --coupling --norm --norm-groups
        --upsampling --skip --dropout --in-channels --out-channels --precision --tf32 --optimizer
        --optimizer-implementation --steps --allocator --timeout""",
    )
)
CHANGED = ProbeSpec(
    network=NetworkSpec(
        in_channels=1, out_channels=2, base_channels=48, stages=3, blocks=1, channel_multiplier=1.5, max_channels=320,
        block="conv", expansion=4, kernel_size=5, squeeze_excitation=True, coupling="none", norm="instance",
        norm_groups=4, upsampling="trilinear", skip="concat", dropout=0.1,
    ),
    volume=(240, 240, 160), batch=2, strategy="plain", precision="bf16", tf32=True, optimizer="sgd",
    optimizer_implementation="fused", steps=3, device="t4-16gb", budget=12 * GIB,
    allocator="expandable_segments:True", timeout=60.0,
)  # fmt: skip


def test_what_is_at_its_default_is_left_out() -> None:
    command = measure_command(ProbeSpec(budget=16 * GIB))
    assert command == "membench measure --device a100-40gb --budget 16GiB --strategy reversible --volume 128x128x128"


def test_no_budget_is_no_option() -> None:
    assert "--budget" not in measure_command(ProbeSpec())


@pytest.mark.parametrize("budget", [1, 1000, 1024, 16 * GIB, 16 * GIB + 1, 3 * GIB // 2])
def test_a_budget_is_exact(budget: int) -> None:
    words = shlex.split(measure_command(ProbeSpec(budget=budget)))
    assert parse_bytes(words[words.index("--budget") + 1]) == budget


def test_every_field_has_an_option() -> None:
    words = shlex.split(measure_command(CHANGED))
    options = {word for word in words if word.startswith("--")}
    assert options == OPTIONS
    assert parse_volume(words[words.index("--volume") + 1]) == CHANGED.volume


def test_a_flag_can_be_off() -> None:
    words = shlex.split(measure_command(ProbeSpec(tf32=False)))
    assert "--no-tf32" in words
    assert "--tf32" not in words


def test_a_shell_reads_hostile_text_as_one_word() -> None:
    evil = "x; rm -rf $HOME `id` '\""
    assert evil in shlex.split(measure_command(replace(CHANGED, allocator=evil)))
