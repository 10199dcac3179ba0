"""Whatever is wrong with a request, the answer is one line that says so, and the exit code tells whose fault it is."""

from pathlib import Path

import pytest
from running import Run

from membench.device import real
from membench.spec import ProbeSpec

REFUSED = {
    "measure --budget 0": "'0' is less than one byte",
    "measure --budget lots": "'lots' is not a size in bytes",
    "measure --device t4-16gb --budget 16GiB": "budget 16.00 GiB is larger than what t4-16gb offers, 14.46 GiB",
    "measure --volume 100": "4 stages need every side to be a multiple of 8 voxels",
    "measure --volume 1x2": "'1x2' is not a volume",
    "measure --base-channels 20": "8 norm groups do not divide the two halves of the 20 channels of stage 1",
    "measure --device a100": "could be a100-40gb, a100-80gb",
    "measure --device a100-45gb": "near names: a100-40gb",
    "measure --channel-multiplier nan": "channel multiplier must be at least 1 and at most 16, not nan",
    "measure --timeout inf": "timeout must be positive and at most 1e8 seconds, not inf",
    "measure --timeout nan": "timeout must be positive and at most 1e8 seconds, not nan",
    "measure --steps 1": "steps must be at least 2",
    "measure --steps two": "invalid value for '--steps': it should be a valid integer (see membench measure --help)",
    "measure --slices 0": "slices must be at least 1, not 0",
    "measure --slices many": "'many' is not a number of slices",
    "measure --strategy plain:reversible:plain": "3 strategies for 4 stages; name one for all stages, or one for each",
    "measure --precision fp8": "invalid value for '--precision': 'fp8' is not one of 'fp32', 'bf16', 'fp16' (see",
    "check --format text": "invalid value for '--format': 'text' is not one of 'markdown', 'json'",
    "devices --device foo --template": "device 'foo' is not in the catalog; membench devices lists all",
    "measure --frobnicate": "no such option: --frobnicate",
    "measure extra": "unexpected extra argument",
    "search": "--axis",
    "search --axis depth": "there is no axis depth; this network has volume, stages, blocks, channels, batch",
    "search --axis volume --ratio 1:1": "'1:1' is not a ratio",
    "search --axis volume --limit 4": "the limit of 4 on axis volume is below its first value, 8",
    "search --axis volume --start 0": "the start on axis volume must be at least 1",
    "sweep --preset nothing": "there is no preset 'nothing'; choose paper, quick",
    "sweep --preset quick --axis batch": "the preset does not search axis 'batch'",
    "sweep --preset quick --budget 41GiB": "budget 41.00 GiB is larger than what a100-40gb offers",
    "sweep --device t4-16gb": "larger than what t4-16gb offers, 14.46 GiB (15526985728 bytes); give a smaller one, "
    "such as --budget 14GiB",
    "sweep --preset quick --jobs 0": "jobs must be at least 1",
    "report": "missing argument",
    "nonsense": "no such command 'nonsense'",
}


@pytest.mark.parametrize(("arguments", "reason"), REFUSED.items())
def test_bad_usage_is_one_line_and_exit_code_2(
    cli: Run, probes: list[ProbeSpec], arguments: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli(*arguments.split())
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("membench: ")
    assert ended.err.count("\n") == 1
    assert reason.lower() in ended.err.lower()
    assert probes == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        *(f"profile --snapshot {name}" for name in ("missing", "wrong")),
        *(f"validate --step a:b --snapshot {name}" for name in ("missing", "wrong")),
        *(f"diff {name} {name}" for name in ("missing", "wrong", "wrong.pickle")),
        *(f"{command} {name}" for command in ("report", "plan-nnunet", "train") for name in ("missing", "wrong")),
        *(f"measure --device-file {name}" for name in ("missing", "wrong")),
        *(f"sweep --preset {name}.toml" for name in ("missing", "wrong")),
        *(f"{command} --config {name}" for command in ("check", "history") for name in ("missing", "wrong")),
    ],
)
def test_a_file_that_is_missing_or_something_else_is_bad_usage(
    cli: Run, probes: list[ProbeSpec], arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("wrong", "wrong.pickle", "wrong.toml"):
        (tmp_path / name).write_text("neither this nor that")
    ended = cli(*arguments.split())
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert arguments.split()[-1] in ended.err
    assert probes == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--strategy magic", "there is no strategy 'magic'; choose from plain, checkpoint, selective"),
        ("--strategy plain:magic:plain:plain", "there is no strategy 'magic'; choose from plain, checkpoint"),
        ("--strategy reversible --slices 2", "strategy 'reversible' does not run in slices"),
        ("--strategy plain:reversible:plain:plain --coupling none", "a reversible strategy needs coupling 'additive'"),
    ],
)
def test_a_strategy_that_cannot_be_is_bad_usage(program: Run, options: str, reason: str) -> None:
    ended = program("measure", *options.split(), "--device", "a100-40gb", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"membench: {reason}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "field",
    [
        "titel = 1",
        "[probe]\nstep = 2",
        "[[search]]\naxis = 'depth'",
        "[[search]]\naxis = 'volume'\n[probe]\nvolume = '1x2'",
        "[[search]]\naxis = 'blocks'\n[search.probe]\nvolume = 'large'",
        "[[search]]\naxis = 'volume'\n[[sensitivity]]\nparameter = 'budget'\nvalues = ['lots']\nvariants = ['plain']",
    ],
)
def test_an_unknown_field_of_a_preset_is_named(cli: Run, tmp_path: Path, field: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'title = "x"\ndevice = "a100-40gb"\nbudgets = ["1GiB"]\nvariant = [{{ strategy = "plain" }}]\n{field}\n'
    )
    ended = cli("sweep", "--preset", str(file))
    assert ended.code == 2
    assert ended.err.startswith(f"membench: preset {file}: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("build", ["cuda: Optional[str] = None", "cuda: Optional[str] = '12.8'"])
def test_a_torch_that_cannot_be_used_says_what_to_install(program: Run, tmp_path: Path, build: str) -> None:
    torch = tmp_path / "torch"
    torch.mkdir()
    (torch / "__init__.py").touch()
    (torch / "version.py").write_text(build + "\n")
    if "12.8" in build:
        (torch / "lib").mkdir()
        (torch / "lib" / "libtorch_cuda.so").touch()
    for command in ("measure", "doctor", "sweep"):
        ended = program(command, *(["--device", "a100-40gb"] if command != "doctor" else []), PYTHONPATH=str(tmp_path))
        assert ended.code == 1
        assert "pip install" in ended.out + ended.err
        assert "Traceback" not in ended.err


def test_a_gpu_that_is_not_there(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "gpus", lambda: ())
    ended = cli("measure", "--device", "cuda")
    assert ended.code == 1
    assert ended.err.startswith("membench: no NVIDIA GPU was found on this machine; choose an emulated card")


def test_many_jobs_on_one_real_gpu_are_refused(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "gpus", lambda: (real.Gpu("Some GPU", 80 * 2**30, "9.0", 132),))
    ended = cli("sweep", "--preset", "quick", "--jobs", "2")
    assert ended.code == 2
    assert "one at a time" in ended.err


@pytest.mark.parametrize(("command", "code"), [("sweep --preset quick --out", 1), ("report", 2)])
def test_a_folder_that_is_none(cli: Run, probes: list[ProbeSpec], tmp_path: Path, command: str, code: int) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    ended = cli(*command.split(), str(file / "out"))
    assert ended.code == code
    assert ended.err.startswith("membench: ")
    assert ended.err.count("\n") == 1
    assert str(file) in ended.err
