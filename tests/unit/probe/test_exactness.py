"""What is said of a measurement: why it is not exact, and which settings it depends on."""

import pytest

from membench.probe.exactness import inexact_because, sensitivities
from membench.probe.log import EmulatorLog
from membench.spec import ProbeSpec


def reasons(spec: ProbeSpec, reads: int | None = 0, **calls: str) -> list[str]:
    log = EmulatorLog(calls={name: (answer, 1) for name, answer in calls.items()}, device_to_host_reads=reads)
    return list(inexact_because(spec, log))


def test_what_the_libraries_answered_is_exact() -> None:
    assert reasons(ProbeSpec(), cudaMalloc="exact", cudnnBackendFinalize="library", cudaLaunchKernel="nothing") == []
    assert reasons(ProbeSpec(), reads=None) == [], "a real device reads what was computed"


def test_a_value_that_was_read_may_decide_what_is_allocated() -> None:
    assert reasons(ProbeSpec(), reads=1) == [
        "1 value was read from the emulated device, as zero; memory may depend on what is computed"
    ]
    assert reasons(ProbeSpec(precision="fp16", steps=3), reads=3) == [], "GradScaler's, one a step"
    assert reasons(ProbeSpec(precision="fp16", steps=3), reads=5)[0].startswith("2 values were read")
    assert reasons(ProbeSpec(precision="fp16", steps=3), reads=0) == [], "out of memory before the first"


def test_an_answer_of_a_model_is_named_unless_no_memory_depends_on_it() -> None:
    assert reasons(ProbeSpec(), cudaEventElapsedTime="model") == []
    assert reasons(ProbeSpec(), cudaFuncGetAttributes="model", cudaEventElapsedTime="model") == [
        "answered by a model, not by the library: cudaFuncGetAttributes"
    ]


@pytest.mark.parametrize(
    ("spec", "reserved", "convolves", "expected"),
    [
        (ProbeSpec(), 100, True, ["cudnn.benchmark", "cudnn.deterministic", "tf32"]),
        (ProbeSpec(tf32=False), 100, False, []),
        (ProbeSpec(precision="bf16"), 200, False, ["expandable_segments"]),
        (ProbeSpec(precision="bf16", allocator="expandable_segments:True"), 200, False, []),
        (ProbeSpec(precision="fp16"), 101, False, ["overflow"]),
    ],
)
def test_settings_that_would_change_the_peaks(
    spec: ProbeSpec, reserved: int, convolves: bool, expected: list[str]
) -> None:
    found = sensitivities(spec, allocated=100, reserved=reserved, convolves=convolves, has_tf32=True)
    assert list(found) == expected


def test_a_card_without_tf32_does_not_depend_on_it() -> None:
    assert not list(sensitivities(ProbeSpec(), allocated=1, reserved=1, convolves=False, has_tf32=False))
