import msgspec
import pytest
from fake_device import PROVENANCE, FakeDevice, needed

from membench.result import Measurement
from membench.store import Store
from membench.sweep import Plan, SweepResult, claims, extent_ratio, load_preset, plan, ratios, run


def swept(folder, planned: Plan, device: FakeDevice | None = None) -> SweepResult:
    with Store(folder) as store:
        return run(planned, store, PROVENANCE, (device or FakeDevice()).open)


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> SweepResult:
    return swept(tmp_path_factory.mktemp("paper"), plan(load_preset("paper")))


def test_the_paper_preset_makes_its_three_claims(paper):
    found = claims(paper)

    assert [claim.claim for claim in found] == ["volume", "depth", "channels"]
    for claim in found:
        reference, candidate = claim.reference.largest_fit, claim.candidate.largest_fit
        assert reference is not None
        assert candidate is not None
        assert claim.measured_ratio == candidate.extent / reference.extent
        assert claim.reproduced == (claim.measured_ratio >= claim.paper_ratio)


def test_volumes_are_compared_in_voxels(paper):
    volume = claims(paper)[0]
    reference, candidate = volume.reference.largest_fit, volume.candidate.largest_fit
    assert reference is not None
    assert candidate is not None

    assert volume.measured_ratio == pytest.approx((candidate.value[0] / reference.value[0]) ** 3)


def test_a_claim_may_fail(paper):
    plans = tuple(msgspec.structs.replace(claim, paper_ratio=1e9) for claim in paper.plan.claims)
    stricter = msgspec.structs.replace(paper, plan=msgspec.structs.replace(paper.plan, claims=plans))

    assert [claim.reproduced for claim in claims(stricter)] == [False] * 3
    assert [claim.measured_ratio for claim in claims(stricter)] == [claim.measured_ratio for claim in claims(paper)]


def test_a_claim_is_not_reproduced_by_a_failed_search(tmp_path):
    device = FakeDevice(failing=lambda spec: spec.strategy == "reversible" and spec.volume > (150, 150, 150))
    result = swept(tmp_path, plan(load_preset("paper"), axes=["volume"]), device)

    (claim,) = claims(result)
    assert claim.candidate.failure is not None
    assert claim.measured_ratio is None
    assert not claim.reproduced


def test_every_variant_is_compared_with_every_baseline(paper):
    found = ratios(paper)
    main = [ratio for ratio in found if ratio.search < len(paper.searches)]

    for axis in ("volume", "blocks", "channels"):
        assert {(ratio.variant, ratio.baseline) for ratio in main if ratio.axis == axis} == {
            ("plain (uncoupled)", "plain"),
            ("checkpoint", "plain"),
            ("reversible", "plain"),
            ("plain", "plain (uncoupled)"),
            ("checkpoint", "plain (uncoupled)"),
            ("reversible", "plain (uncoupled)"),
            *(() if axis == "blocks" else (("reversible-sliced", "plain"), ("reversible-sliced", "plain (uncoupled)"))),
        }
    for ratio in found:
        candidate, reference = paper.all_searches[ratio.search], paper.all_searches[ratio.against]
        assert candidate.search.probe.variant == ratio.variant
        assert reference.search.probe.variant == ratio.baseline
        assert candidate.search.probe.budget == reference.search.probe.budget
        assert candidate.search.probe.network.expansion == reference.search.probe.network.expansion
        assert ratio.ratio == extent_ratio(candidate, reference)


def test_every_study_has_its_ratio(paper):
    studied = [ratio for ratio in ratios(paper) if ratio.search >= len(paper.searches)]

    assert len(studied) == len(paper.sensitivity) / 2
    assert all(ratio.variant == "reversible" and ratio.ratio and ratio.ratio > 1 for ratio in studied)


def test_a_limit_is_a_lower_bound_of_the_candidate_and_no_reference(tmp_path, paper):
    tall = plan(load_preset("paper"), axes=["blocks"])
    limited = tuple(
        msgspec.structs.replace(search, limit=5, start=None) if search.probe.strategy == "reversible" else search
        for search in tall.searches
    )
    result = swept(tmp_path, msgspec.structs.replace(tall, searches=limited))
    plain, reversible = result.searches[0], result.searches[3]

    assert reversible.limit_reached
    assert plain.largest_fit is not None
    assert extent_ratio(reversible, plain) == 5 / plain.largest_fit.extent
    assert extent_ratio(plain, reversible) is None


def test_the_fake_device_keeps_less_the_better_the_strategy(paper):
    spec = paper.searches[0].search.probe
    by_strategy = [
        needed(msgspec.structs.replace(spec, strategy=name)) for name in ("reversible", "checkpoint", "plain")
    ]

    assert by_strategy == sorted(by_strategy)
    assert isinstance(FakeDevice().measure(spec), Measurement)
