from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import A100, MIB, VERSIONS, made_case, made_config, measured

from membench.check import FORMATS, Threshold, baseline_of, compare, parse_threshold, read_baseline, write_baseline
from membench.check.baseline import settings_of
from membench.errors import UsageError
from membench.spec import NetworkSpec, ProbeSpec

ONE = made_case("one")
BEFORE = baseline_of({"one": measured(ONE)})


def outcome_of(case=ONE, found=None, **options):
    result = compare(made_config(case), {case.name: found or measured(case)}, BEFORE, **options)
    return result, result.outcomes[0]


def test_the_same_bytes_are_unchanged() -> None:
    result, outcome = outcome_of()
    assert (outcome.status, outcome.reasons, result.exit_code) == ("unchanged", (), 0)


def test_one_byte_more_is_a_regression() -> None:
    result, outcome = outcome_of(found=measured(ONE, peak=100 * MIB + 1, reserved=110 * MIB))
    assert (outcome.status, result.exit_code) == ("regressed", 1)
    assert outcome.reasons == ("peak allocated 100.00 MiB → 100.00 MiB (+1 B, +0.0 %); allowed: peak:0%",)


def test_less_is_an_improvement_and_passes() -> None:
    result, outcome = outcome_of(found=measured(ONE, peak=50 * MIB))
    assert (outcome.status, result.exit_code) == ("improved", 0)
    assert outcome.reasons[0] == "peak allocated 100.00 MiB → 50.00 MiB (-50.00 MiB, -50.0 %)"


@pytest.mark.parametrize(
    ("thresholds", "own", "status"),
    [
        (("peak:10%", "reserved:10%"), None, "tolerated"),
        (("peak:9.999%",), None, "regressed"),
        (("reserved:10MiB",), None, "tolerated"),
        (("reserved:9MiB",), None, "regressed"),
        (("peak:50%", "peak:9MiB"), None, "regressed"),
        (("peak:0%",), ("peak:10MiB",), "tolerated"),
        (("peak:50%",), ("peak:0%",), "regressed"),
        ((), ("requested:10MiB",), "tolerated"),
    ],
)
def test_thresholds(thresholds: tuple[str, ...], own: tuple[str, ...] | None, status: str) -> None:
    case = made_case("one", fail_on=own)
    found = measured(case, peak=110 * MIB, reserved=120 * MIB)
    _, outcome = outcome_of(case, found, thresholds=[parse_threshold(text) for text in thresholds])
    assert outcome.status == status


@given(baseline=st.integers(1, 2**45), percent=st.integers(0, 200))
def test_a_share_is_exact_to_the_byte(baseline: int, percent: int) -> None:
    threshold = Threshold("peak", f"{percent}%")
    allowed = baseline * percent // 100
    assert threshold.permits(baseline, baseline + allowed)
    assert not threshold.permits(baseline, baseline + allowed + 1)


@pytest.mark.parametrize(
    "text", ["peak", "peak:", "speed:5%", "peak:-5%", "peak:5 apples", ":5%", "peak:%", "peak:1e3%"]
)
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(UsageError, match="threshold"):
        parse_threshold(text)


def test_a_limit_is_of_reserved_bytes_and_needs_no_baseline() -> None:
    at, over = made_case("one", limit=110 * MIB), made_case("one", limit=110 * MIB - 1)
    assert compare(made_config(at), {"one": measured(at)}, None).exit_code == 0
    result = compare(made_config(over), {"one": measured(over)}, None)
    assert result.exit_code == 1
    assert result.outcomes[0].reasons[0] == "peak reserved 110.00 MiB exceeds the limit of 110.00 MiB by 1 B"


def test_out_of_memory_is_a_limit_exceeded() -> None:
    result, outcome = outcome_of(found=measured(ONE, status="oom"))
    assert (outcome.status, result.exit_code, outcome.current) == ("limit", 1, None)


@pytest.mark.parametrize("status", ["error", "timeout", "crashed"])
def test_a_probe_that_failed_is_exit_code_4(status: str) -> None:
    found = measured(ONE, status=status, message="why")
    result, outcome = outcome_of(found=found)
    assert (outcome.status, result.exit_code) == ("failed", 4)
    assert outcome.reasons == (f"the probe failed: {status}: why",)


def test_new_and_vanished_cases_are_named_and_pass() -> None:
    other = made_case("other")
    result = compare(made_config(other), {"other": measured(other)}, BEFORE)
    assert [(outcome.name, outcome.status) for outcome in result.outcomes] == [("other", "new"), ("one", "vanished")]
    assert result.exit_code == 0
    assert all("; --update" in outcome.reasons[0] for outcome in result.outcomes)
    updating = compare(made_config(other), {"other": measured(other)}, BEFORE, updating=True)
    assert [outcome.reasons for outcome in updating.outcomes] == [
        ("the baseline did not have it",),
        ("the baseline had it, the configuration does not",),
    ]
    selected = compare(made_config(other), {"other": measured(other)}, BEFORE, selected=[other])
    assert [outcome.name for outcome in selected.outcomes] == ["other"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": VERSIONS | {"cudnn": "9.25.0"}}, "cudnn 9.24.0 → 9.25.0"),
        ({"device": msgspec.structs.replace(A100, kind="real")}, "device a100-40gb: kind emulated → real"),
        ({"device": msgspec.structs.replace(A100, name="t4-16gb")}, "device a100-40gb → t4-16gb"),
    ],
)
def test_another_environment_is_exit_code_3_unless_allowed(change: dict, said: str) -> None:
    found = measured(ONE, peak=200 * MIB, **change)
    result, outcome = outcome_of(found=found)
    assert (outcome.status, result.exit_code) == ("incomparable", 3)
    assert said in outcome.reasons[0]
    allowed, outcome = outcome_of(found=found, allow_environment_change=True)
    assert (outcome.status, allowed.exit_code, allowed.compared) == ("regressed", 1, True)


def test_another_python_or_membench_is_no_other_environment() -> None:
    versions = VERSIONS | {"python": "3.11.0", "membench": "9"}
    assert outcome_of(found=measured(ONE, versions=versions))[0].exit_code == 0


def test_of_several_findings_the_certain_one_decides() -> None:
    cases = [made_case("one", limit=1), made_case("two"), made_case("three")]
    before = baseline_of({case.name: measured(case) for case in cases})
    elsewhere = VERSIONS | {"torch": "2.15.0"}
    found = {case.name: measured(case, versions=elsewhere) for case in cases}
    found["two"] = measured(cases[1], status="crashed", versions=elsewhere)
    result = compare(made_config(*cases), found, before)
    assert [outcome.status for outcome in result.outcomes] == ["limit", "failed", "incomparable"]
    assert result.exit_code == 1
    for left, code in ((cases[1:], 4), (cases[2:], 3)):
        assert compare(made_config(*left), found, before, selected=left).exit_code == code


def test_a_case_that_was_redefined_says_in_what() -> None:
    case = made_case("one", batch=2, network=NetworkSpec(stages=3))
    _, outcome = outcome_of(case, measured(case, peak=200 * MIB))
    assert outcome.status == "regressed"
    assert outcome.settings == ("batch default → 2", "stages default → 3")


def test_an_estimate_says_that_it_is_one() -> None:
    result, outcome = outcome_of(found=measured(ONE, exact=False, inexact_because=("values were read",)))
    assert (outcome.status, outcome.told) == ("unchanged", True)
    page = FORMATS["markdown"](result)
    assert r"| \~100\.00 MiB | \~110\.00 MiB |" in page
    assert r"an estimate, and not exact\: values were read" in page
    assert not outcome_of()[1].told


def test_a_baseline_is_the_same_file_whatever_the_order(tmp_path: Path) -> None:
    cases = [made_case(name) for name in ("b", "a", "ü\n")]
    found = {case.name: measured(case) for case in cases}
    for name, order in (("1", list(found)), ("2", list(reversed(found)))):
        write_baseline(tmp_path / name, baseline_of({key: found[key] for key in order}))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert b"python" not in (tmp_path / "1").read_bytes()
    assert read_baseline(tmp_path / "1") == baseline_of(found)


def test_an_update_of_some_cases_keeps_the_others_unless_they_are_from_elsewhere() -> None:
    two = made_case("two")
    assert set(baseline_of({"two": measured(two)}, BEFORE).cases) == {"one", "two"}
    with pytest.raises(UsageError, match="update all of them"):
        baseline_of({"two": measured(two, versions=VERSIONS | {"torch": "2.15.0"})}, BEFORE)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"format": 1}', b"\xff", b'{"format":2,"versions":{},"devices":{},"cases":{}}']
)
def test_what_is_no_baseline(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"b\.json"):
        read_baseline(tmp_path / "b.json")


def test_settings_are_what_a_configuration_would_state() -> None:
    spec = ProbeSpec(network=NetworkSpec(stages=3), volume=(64, 32, 32), device="t4-16gb", budget=2**30, timeout=9.0)
    assert settings_of(spec) == {"stages": 3, "volume": "64x32x32", "budget": 2**30}
