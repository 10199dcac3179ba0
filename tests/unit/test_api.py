"""The Python API without a device: what is asked of the prober."""

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

import membench
from membench import api
from membench.device import Device
from membench.errors import UsageError
from membench.result import Measurement
from membench.spec import ModelSpec, NetworkSpec, ProbeSpec
from membench.units import GIB


class FakeProber:
    """A probe takes a byte for each voxel."""

    asked: list[ProbeSpec]

    def __init__(self, device: Device) -> None: ...

    def __enter__(self) -> Callable[[ProbeSpec], Measurement]:
        return self.measure

    def __exit__(self, *_: object) -> None: ...

    def measure(self, spec: ProbeSpec) -> Measurement:
        self.asked.append(spec)
        depth, height, width = spec.volume
        peak = depth * height * width * spec.batch
        status = "fits" if peak <= (spec.budget or GIB) else "oom"
        return Measurement(spec=spec, status=status, peak_allocated_bytes=peak, peak_reserved_bytes=peak)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ProbeSpec]:
    found: list[ProbeSpec] = []
    monkeypatch.setattr(FakeProber, "asked", found, raising=False)
    monkeypatch.setattr(api, "Prober", FakeProber)
    return found


def test_a_model_by_name_and_as_a_function_are_the_same(asked: list[ProbeSpec]) -> None:
    settings: dict[str, Any] = {"input": "1x4x{volume}", "volume": (8, 8, 8), "device": "rtx-3090", "batch": 1}
    membench.measure("fractions:Fraction", **settings)
    membench.measure(Fraction, **settings)
    model = ModelSpec(factory="fractions:Fraction", inputs=("1x4x{volume}",))
    membench.measure(model, volume="8", device="rtx-3090")
    assert asked == 3 * [ProbeSpec(network=model, strategy="plain", volume=(8, 8, 8), device="rtx-3090-24gb")]


def test_everything_of_a_model_and_a_probe_can_be_said(asked: list[ProbeSpec]) -> None:
    membench.measure(
        "a:b",
        input=["{n}x4", "x={n}:int64"],
        target="{n}",
        loss="a:loss",
        arguments={"width": [1, 2]},
        values={"n": 3},
        device="t4",
        budget="2GiB",
        precision="fp16",
        strategy="offload",
    )
    model = ModelSpec(
        factory="a:b",
        arguments={"width": [1, 2]},
        inputs=("{n}x4", "x={n}:int64"),
        targets=("{n}",),
        loss="a:loss",
        values={"n": 3},
    )
    assert asked == [ProbeSpec(network=model, strategy="offload", precision="fp16", device="t4-16gb", budget=2 * GIB)]
    membench.measure(step="a:step", arguments={"n": 4}, device="t4")
    assert asked[1].network == ModelSpec(step="a:step", arguments={"n": 4})


def test_the_largest_is_found_with_its_certificate() -> None:
    found = membench.find_largest("a:b", "volume", input="1x4x{volume}", device="t4", budget=2**21, multiple=8)
    assert found.certified
    assert found.largest_fit is not None
    assert found.smallest_unfit is not None
    assert (found.largest_fit.value, found.smallest_unfit.value) == ((128, 128, 128), (136, 136, 136))
    own = membench.find_largest(NetworkSpec(), "batch", volume=64, device="t4", budget=2**21)
    assert own.largest_fit is not None
    assert own.largest_fit.value == 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: membench.measure(lambda: None, input="4"), "cannot import"),
        (lambda: membench.measure("a:b", input="4", colour=3), "no settings of a probe: .*`colour`"),
        (lambda: membench.measure("a:b", input="4", batch="2"), r"Expected `int`, got `str` - at `\$.batch`"),
        (lambda: membench.measure("a:b", input="4", budget="much"), "is not a size in bytes"),
        (lambda: membench.measure(NetworkSpec(), input="4"), "are for a function that makes a model"),
        (lambda: membench.measure("a:b", input="4", device="gameboy"), "gameboy"),
        (lambda: membench.find_largest("a:b", "n", input="4x{m}", values={"m": 2}), "there is no axis n"),
    ],
)
def test_what_cannot_be_done_is_refused(call: Callable[[], object], message: str, asked: list[ProbeSpec]) -> None:
    with pytest.raises(UsageError, match=message):
        call()
    assert asked == []


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, membench; before = set(sys.modules); membench.measure; "
        "assert not {'torch', 'pandas', 'matplotlib', 'typer'} & set(sys.modules); "
        "assert 'msgspec' not in before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
