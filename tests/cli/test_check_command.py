import json
import subprocess
import sys
from pathlib import Path

import pytest
from running import FakeProber, Run

from membench.profile import Holder, Moment, Peak, Profile
from membench.result import Measurement
from membench.spec import ProbeSpec

CASES = """
[defaults]
device = "a100-4"
volume = "64"

[[case]]
name = "one"

[[case]]
name = "[b]two"
strategy = "plain"
"""


def attribute(spec: ProbeSpec, prober: FakeProber) -> Profile:
    """A made-up profile: one module holds all."""
    size = prober(spec).peak_allocated_bytes
    at = Moment(event=1, phase="backward", step=1, module="a.b", op="op", line="net.py:3 (forward)")
    peak = Peak(
        allocated_bytes=size,
        reserved_bytes=size,
        requested_bytes=size,
        phase=at.phase,
        module=at.module,
        at=at,
        categories={"activation": size},
        kinds=(),
        modules={"a.b": size},
        holders=(Holder(category="activation", module="a.b", line=at.line, bytes=size, count=1),),
        largest=(),
        segments=(),
    )
    return Profile(measurement=None, peak=peak, phases={})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probes: list[ProbeSpec]) -> Path:
    """A project with two cases and a baseline of them; measured by the made-up prober."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setattr("membench.check.run.attribute", attribute)
    (tmp_path / "membench.toml").write_text(CASES)
    return tmp_path


@pytest.fixture
def baseline(project: Path, cli: Run) -> Path:
    assert cli("check", "--update").code == 0
    return project / "membench-baseline.json"


def change(project: Path, before: str, after: str) -> None:
    file = project / "membench.toml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def test_update_then_check(project: Path, baseline: Path, cli: Run, probes: list[ProbeSpec]) -> None:
    written = baseline.read_bytes()
    ended = cli("check", "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert [(found["name"], found["status"]) for found in document["outcomes"]] == [
        ("one", "unchanged"),
        ("[b]two", "unchanged"),
    ]
    assert {spec.device for spec in probes} == {"a100-40gb"}
    assert cli("check", "--update").code == 0
    assert baseline.read_bytes() == written


def test_a_regression_is_exit_code_1_until_it_is_accepted_or_gone(project: Path, baseline: Path, cli: Run) -> None:
    change(project, 'volume = "64"', 'volume = "128"')
    ended = cli("check")
    assert ended.code == 1
    assert "✗ one" in ended.out
    assert "+700.0 %" in ended.out
    assert "the case differs from the baseline's: volume 64x64x64 → default" in ended.out
    assert "    category activation +7.00 GiB, +700.0 %" in ended.out
    assert "    module a.b +7.00 GiB, +700.0 % (net.py:3 in forward)" in ended.out
    assert "2 regressed, against membench-baseline.json" in ended.out
    change(project, 'volume = "128"', 'volume = "64"')
    assert cli("check").code == 0
    change(project, 'volume = "64"', 'volume = "128"')
    assert cli("check", "--fail-on", "peak:700%", "--fail-on", "reserved:700%").code == 0
    assert cli("check", "--update").code == 0
    assert cli("check").code == 0


def test_a_baseline_that_is_named_has_to_be_there(project: Path, cli: Run) -> None:
    change(project, 'volume = "64"', 'volume = "64"\nlimit = "4GiB"')
    change(project, "[defaults]", 'baseline = "b.json"\n[defaults]')
    ended = cli("check")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no baseline b.json" in ended.err


def test_an_update_replaces_what_is_no_baseline(project: Path, baseline: Path, cli: Run) -> None:
    written = baseline.read_bytes()
    baseline.write_text(written.decode().replace('"format": 1', '"format": 0'))
    assert cli("check").code == 2
    assert cli("check", "--update", "--case", "one").code == 2
    ended = cli("check", "--update")
    assert ended.code == 0
    assert "has format 0, and this membench reads 1" in ended.err
    assert baseline.read_bytes() == written


def test_some_cases_alone(project: Path, baseline: Path, cli: Run, probes: list[ProbeSpec]) -> None:
    probes.clear()
    ended = cli("check", "--case", "*t*", "--json")
    assert [found["name"] for found in json.loads(ended.out)["outcomes"]] == ["[b]two"]
    assert [spec.strategy for spec in probes] == ["plain"]


def test_limits_need_no_baseline(project: Path, cli: Run) -> None:
    change(project, 'volume = "64"', 'volume = "64"\nlimit = "4GiB"')
    ended = cli("check")
    assert ended.code == 0, ended.err
    assert "2 new, without a baseline" in ended.out
    change(project, 'limit = "4GiB"', 'limit = "4095MiB"')
    assert cli("check").code == 1


def test_the_environment_is_exit_code_3(project: Path, baseline: Path, cli: Run) -> None:
    baseline.write_text(baseline.read_text().replace('"torch": "0"', '"torch": "1"'))
    ended = cli("check")
    assert ended.code == 3
    assert "The environment differs from the baseline's, not compared (see --allow-environment-change)" in ended.out
    assert "torch 1 → 0" in ended.out
    assert cli("check", "--allow-environment-change").code == 0


def test_a_probe_that_failed_is_exit_code_4_and_leaves_the_baseline(project: Path, baseline: Path, cli: Run) -> None:
    written = baseline.read_bytes()
    change(project, '"plain"', '"broken"')
    assert cli("check").code == 4
    ended = cli("check", "--update")
    assert ended.code == 4
    assert "is left as it was" in ended.err
    assert baseline.read_bytes() == written


def test_outputs(project: Path, baseline: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "summary.md"))
    (project / "summary.md").write_text("before\n")
    ended = cli("check", "--format", "junit", "--output", "out/junit.xml")
    assert ended.code == 0
    assert "2 unchanged, against" in ended.out
    assert (project / "out" / "junit.xml").read_text().startswith("<?xml")
    assert (project / "summary.md").read_text().startswith("before\n### GPU memory: 2 unchanged\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project))
    ended = cli("check")
    assert ended.code == 0
    assert ended.err == f"Note: the job's summary is not written, {project}: is a directory\n"
    ended = cli("check", "--format", "json", "--output", str(project))
    assert (ended.code, ended.err.splitlines()[-1]) == (4, f"membench: cannot write {project}: is a directory")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--output x.md", "--output needs --format, one of markdown, json"),
        ("--json --format sarif", "--json and --format sarif exclude each other"),
        ("--format xml", "'xml' is not one of"),
        ("--fail-on peak", "'peak' is not a threshold"),
        ("--case three", "there is no case 'three'"),
        ("--config none.toml", "cannot read none.toml: no such file or directory"),
        ("--baseline none.json", "there is no baseline none.json; write it with --update"),
        ("--jobs 0", "jobs must be at least 1"),
    ],
)
def test_bad_usage(
    project: Path, baseline: Path, cli: Run, probes: list[ProbeSpec], arguments: str, reason: str
) -> None:
    probes.clear()
    ended = cli("check", *arguments.split())
    assert (ended.code, ended.out) == (2, "")
    assert reason in ended.err
    assert ended.err.count("\n") == 1
    assert probes == []


def test_a_device_that_is_none_names_the_case(project: Path, cli: Run) -> None:
    change(project, "a100-4", "a100")
    ended = cli("check", "--update")
    assert ended.code == 2
    assert ended.err.startswith("membench: membench.toml: case 'one': device 'a100' could be a100-40gb")


def test_a_machine_that_cannot_measure_is_not_a_regression(
    project: Path, baseline: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(project, "a100-4", "cuda")
    monkeypatch.setattr("membench.device.real.gpus", lambda: ())
    ended = cli("check")
    assert ended.code == 4
    assert ended.err.startswith("membench: no NVIDIA GPU was found")


def test_ctrl_c(project: Path, baseline: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check = sys.modules["membench.cli.check"]

    def interrupted(*_: object, **__: object) -> dict[str, Measurement]:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "measure_cases", interrupted)
    assert cli("check").code == 130


@pytest.fixture
def recorded(project: Path, baseline: Path, cli: Run) -> list[str]:
    """The commits of three records; the second took more."""
    commits = []
    who = ["-c", "user.name=someone", "-c", "user.email=some@where"]
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    for volume in ("64", "128", "128"):
        change(project, 'volume = "', f'volume = "{volume}" # "')
        subprocess.run(
            ["git", *who, "commit", "-q", "-a", "--allow-empty", "-m", f"[b]{volume}"], cwd=project, check=True
        )
        subprocess.run(["git", "add", "membench.toml"], cwd=project, check=True)
        subprocess.run(["git", *who, "commit", "-q", "--amend", "--no-edit"], cwd=project, check=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
        commits.append(head.stdout.strip())
        cli("check", "--record")
    return commits


def test_history(project: Path, recorded: list[str], cli: Run) -> None:
    ended = cli("history", "--html", "out.html")
    assert (ended.code, ended.err) == (0, "Written to out.html\n")
    assert [line.strip() for line in ended.out.splitlines() if line.strip() in ("one", "[b]two")] == ["one", "[b]two"]
    rows = [line for line in ended.out.splitlines() if line.startswith(tuple(commit[:9] for commit in recorded))]
    assert len(rows) == 6
    assert "+7.00 GiB, +700.0 %" in rows[1]
    assert rows[1].strip().endswith("[b]128")
    assert (project / "out.html").read_text().count("<svg") == 2
    ended = cli("history", "--json", "--case", "[b]two")
    assert [record["commit"]["id"] for record in json.loads(ended.out)] == recorded
    assert cli("history", "--case", "three").code == 2


def test_bisect_help(project: Path, recorded: list[str], cli: Run) -> None:
    ended = cli("bisect-help", "--case", "one")
    assert ended.code == 0
    assert f"git bisect start {recorded[1]} {recorded[0]}\n" in ended.out
    assert cli("bisect-help", "--case", "three").code == 2
    assert "git bisect start HEAD v1.0\n" in cli("bisect-help", "--case", "one", "--good", "v1.0").out


def test_without_a_history(project: Path, cli: Run) -> None:
    for command in ("history", "bisect-help --case one"):
        ended = cli(*command.split())
        assert (ended.code, ended.out) == (2, "")
        assert "there is no history membench-history.jsonl; membench check --record writes it" in ended.err
    ended = cli("check", "--record", "--update")
    assert ended.code == 2
    assert "not a git repository" in ended.err
