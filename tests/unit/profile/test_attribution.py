"""On the emulated device: the categories, and everything else that is told of the peak, add up to it."""

from collections import Counter

import msgspec
import pytest
from recorded_probes import SMALL, Record

from membench.probe import Prober
from membench.profile import attribute
from membench.profile.records import CATEGORIES
from membench.spec import ProbeSpec

EXAMPLES = {
    "plain": SMALL,
    "checkpoint": msgspec.structs.replace(SMALL, strategy="checkpoint", optimizer_implementation="for-loop"),
    "selective": msgspec.structs.replace(SMALL, strategy="selective", optimizer="sgd"),
    "offload": msgspec.structs.replace(SMALL, strategy="offload", optimizer_implementation="fused"),
    "reversible": msgspec.structs.replace(SMALL, strategy="reversible"),
    "sliced, bf16": msgspec.structs.replace(SMALL, strategy="reversible-sliced", precision="bf16"),
    "fp16": msgspec.structs.replace(SMALL, precision="fp16"),
    "expandable": msgspec.structs.replace(SMALL, allocator="expandable_segments:True"),
    "rounded": msgspec.structs.replace(SMALL, allocator="roundup_power2_divisions:4,max_split_size_mb:32"),
    "out of memory": msgspec.structs.replace(SMALL, budget=60 * 2**20),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_everything_adds_up_to_the_allocators_own_peak(recorded: Record, prober: Prober, name: str) -> None:
    spec = EXAMPLES[name]
    analysis = recorded(spec)
    profile, peak = analysis.profile, analysis.profile.peak
    measured = prober(spec)
    assert profile.exact
    assert profile.measurement is not None
    assert profile.measurement.status == measured.status == ("oom" if name == "out of memory" else "fits")
    assert peak.allocated_bytes == measured.peak_allocated_bytes
    assert list(peak.categories) == list(CATEGORIES)
    for parts in (
        peak.categories.values(),
        peak.modules.values(),
        [kind.bytes for kind in peak.kinds],
        [holder.bytes for holder in peak.holders],
        [held.bytes for held in analysis.held(analysis.peak_event)],
        [segment.allocated_bytes for segment in peak.segments],
    ):
        assert sum(parts) == peak.allocated_bytes
    assert sum(segment.bytes for segment in peak.segments) == peak.reserved_bytes
    by_category = Counter[str]()
    for segment in peak.segments:
        assert sum(block.bytes for block in segment.blocks) == segment.bytes
        for block in segment.blocks:
            by_category[block.category or ""] += block.bytes
    assert by_category.pop("", 0) == peak.fragmentation_bytes
    assert dict(by_category) == {category: size for category, size in peak.categories.items() if size}


def test_parameters_states_and_inputs_are_all_there(recorded: Record) -> None:
    analysis = recorded(SMALL)
    held = analysis.held(analysis.peak_event)
    parameters = [each for each in held if each.category == "parameter"]
    assert analysis.profile.measurement is not None
    assert sum(each.requested_bytes for each in parameters) == 4 * analysis.profile.measurement.parameters
    states = [each for each in held if each.category == "optimizer state"]
    assert {each.name.split(" of ")[0] for each in states} == {"exp_avg", "exp_avg_sq"}
    assert len(states) == 2 * len(parameters)
    images, target = [each for each in held if each.category == "input"]
    assert (images.shape, images.dtype) == ((1, 4, 32, 32, 32), "float32")
    assert (target.shape, target.dtype) == ((1, 3, 32, 32, 32), "uint8")


def test_the_peak_of_plain_is_activations_of_the_forward_pass(recorded: Record) -> None:
    peak = recorded(SMALL).profile.peak
    assert peak.phase == "backward"
    assert max(peak.categories, key=peak.categories.__getitem__) == "activation"
    assert {kind.what for kind in peak.kinds if kind.category == "activation"} == {"of the forward pass"}
    largest = next(held for held in peak.largest if held.category == "activation")
    assert largest.shape == (1, 48, 32, 32, 32)
    assert largest.module.startswith(("encoder.0.blocks.0.", "decoder.0.blocks.0."))
    assert largest.line.startswith("membench/models/functions.py:")
    assert list(peak.largest) == sorted(peak.largest, key=lambda held: -held.bytes)


def test_what_a_reversible_strategy_computes_again_belongs_to_its_functions(recorded: Record) -> None:
    analysis = recorded(EXAMPLES["reversible"])
    held = analysis.held(analysis.peak_event)
    again = [each for each in held if each.what == "computed again" and each.shape]
    assert again
    assert {each.phase for each in again} == {"backward"}
    assert any(each.module.endswith((".f.expand", ".g.expand")) for each in again)


def test_temporaries_of_the_optimizer_are_told_by_implementation(recorded: Record) -> None:
    """The foreach implementation holds a list of temporaries as large as the parameters; the fused one none."""
    peaks = {}
    for implementation in ("foreach", "fused"):
        analysis = recorded(msgspec.structs.replace(SMALL, optimizer_implementation=implementation))
        sums = [
            sum(each.bytes for each in analysis.held(index) if each.what == "temporaries of the optimizer")
            for index in analysis.step
            if analysis.attribution.phase(index) == "optimizer"
        ]
        peaks[implementation] = max(sums, default=0)
    assert analysis.profile.measurement is not None
    assert peaks["fused"] == 0
    assert peaks["foreach"] >= 4 * analysis.profile.measurement.parameters


def test_the_request_that_was_refused_is_told(recorded: Record) -> None:
    refused = recorded(EXAMPLES["out of memory"]).profile.refused
    assert refused is not None
    assert refused.asked_bytes > 0
    assert refused.reserved_bytes <= 60 * 2**20
    assert refused.at.phase in ("forward", "backward")
    assert refused.at.module


def test_two_recordings_are_the_same(recorded: Record, prober: Prober) -> None:
    spec: ProbeSpec = EXAMPLES["reversible"]
    first, second = recorded(spec).profile, attribute(spec, prober)
    assert first.peak == second.peak
    assert first.phases == second.phases
