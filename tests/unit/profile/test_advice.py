import msgspec
import pytest
from made_up_profiles import SPEC, measurement, profile

from membench.errors import UsageError
from membench.profile.advice import remedies
from membench.profile.records import Profile
from membench.result import Measurement
from membench.spec import ProbeSpec

ACTIVATIONS = profile(("activation", "encoder.0", "", 900), ("parameter", "head", "", 10))


def tried(found: Profile, spec: ProbeSpec = SPEC, **peaks: int) -> dict[str, int | None]:
    """What each remedy that was tried saves, if the reserved peak is 1000 but for those named."""

    def measure(asked: ProbeSpec) -> Measurement:
        if asked.strategy == "reversible" and spec.network.coupling == "none":
            raise UsageError("needs couplings")
        return measurement(asked, peak_reserved_bytes=peaks.get(asked.strategy.replace("-", "_"), 1000))

    own = measurement(spec, peak_reserved_bytes=1000)
    return {remedy.setting: remedy.saved_reserved_bytes for remedy in remedies(found, measure, own)}


def test_activations_are_met_by_strategies_and_precision_the_best_first() -> None:
    found = tried(ACTIVATIONS, checkpoint=700, reversible=300, reversible_sliced=100)
    assert found == {
        "--strategy reversible-sliced": 900,
        "--strategy reversible": 700,
        "--strategy checkpoint": 300,
        "--precision bf16": 0,
    }
    assert next(iter(found)) == "--strategy reversible-sliced"


def test_only_thriftier_strategies_are_tried() -> None:
    found = tried(ACTIVATIONS, msgspec.structs.replace(SPEC, strategy="reversible"))
    assert [setting for setting in found if "strategy" in setting] == ["--strategy reversible-sliced"]


def test_what_the_network_cannot_do_is_left_out() -> None:
    uncoupled = msgspec.structs.replace(SPEC, network=msgspec.structs.replace(SPEC.network, coupling="none"))
    assert "--strategy reversible" not in tried(ACTIVATIONS, uncoupled)


@pytest.mark.parametrize(
    ("holder", "settings"),
    [
        (("workspace", "encoder.0", "", 90), {"--no-tf32"}),
        (("optimizer state", "head", "", 900), {"--optimizer sgd"}),
        (("input", "", "", 900), set()),
    ],
)
def test_each_holder_has_remedies_of_its_own(holder: tuple[str, str, str, int], settings: set[str]) -> None:
    found = profile(holder, ("input", "", "", 400))
    assert set(tried(found)) == settings


def test_fragmentation_is_met_by_expandable_segments() -> None:
    found = profile(("input", "", "", 90))  # and 10 MiB of reserved memory that nobody uses
    assert set(tried(found)) == {"--allocator expandable_segments:True"}


def test_the_optimizers_temporaries_are_met_by_other_implementations() -> None:
    found = profile(("other", "", "", 900), phase="optimizer")
    assert set(tried(found)) == {"--optimizer-implementation fused", "--optimizer-implementation for-loop"}


def test_what_does_not_fit_saves_nothing_that_could_be_told() -> None:
    def measure(asked: ProbeSpec) -> Measurement:
        return measurement(asked, status="oom")

    found = remedies(ACTIVATIONS, measure, measurement(peak_reserved_bytes=1000))
    assert {remedy.saved_reserved_bytes for remedy in found} == {None}
