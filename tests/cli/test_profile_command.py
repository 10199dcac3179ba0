import json
import pickle
import shlex
from pathlib import Path

import pytest
from running import Run

SMALL = shlex.split("--device a100-40gb --volume 32 --base-channels 16 --stages 3 --blocks 1 --strategy reversible")


@pytest.mark.slow
def test_contract_on_the_emulated_device(program: Run, tmp_path: Path) -> None:
    ended = program("profile", *SMALL, "--out", "found", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    peak = found["peak"]
    assert sum(peak["categories"].values()) == peak["allocated_bytes"] == found["measurement"]["peak_allocated_bytes"]
    assert peak["phase"] == "backward"
    assert peak["module"].startswith(("encoder.", "decoder.", "head"))
    assert len(peak["largest"]) == 10
    assert {"shape", "dtype", "line", "category", "bytes"} <= set(peak["largest"][0])
    saved = {remedy["setting"]: remedy["saved_allocated_bytes"] for remedy in found["remedies"]}
    assert saved["--strategy reversible-sliced"] > 0
    files = {Path(file).name for file in found["files"]}
    assert files == {"snapshot.pickle", "trace.json", "timeline.csv", "index.html", "profile.json"}
    assert all((tmp_path / "found" / name).stat().st_size > 0 for name in files)
    assert (tmp_path / "found" / "index.html").stat().st_size < 6_000_000

    again = program("profile", "--snapshot", "found/snapshot.pickle", "--out", "again")
    assert again.code == 0, again.err
    assert "By category" in again.out
    assert (tmp_path / "again" / "timeline.csv").read_bytes() == (tmp_path / "found" / "timeline.csv").read_bytes()

    same = program("diff", "found", "again")
    assert (same.code, "The peaks are equal." in same.out) == (0, True), same.err
    assert json.loads(program("diff", "found", "again", "--json").out)["holders"] == []


@pytest.mark.slow
def test_out_of_memory_is_profiled_too(program: Run, tmp_path: Path) -> None:
    ended = program("profile", *SMALL, "--budget", "40MiB", "--no-advice", "--out", "found")
    assert ended.code == 3, ended.err
    assert "were asked for in" in " ".join(ended.out.split())
    assert (tmp_path / "found" / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--strategy", "auto"), 2, "of one strategy"),
        (("--volume", "33"), 2, "does not divide"),
        (("--snapshot", "nowhere.pickle"), 2, "nowhere.pickle"),
        (("--snapshot", "hostile.pickle"), 2, "is refused"),
        (("--snapshot", "number.pickle"), 2, "no snapshot of PyTorch's allocator"),
        (("--snapshot", "empty.pickle"), 2, "has no events"),
        (("--out", "number.pickle"), 1, "cannot write to number.pickle"),
    ],
)
def test_bad_input_is_one_line(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.pickle").write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR.")
    (tmp_path / "number.pickle").write_bytes(pickle.dumps(7))
    (tmp_path / "empty.pickle").write_bytes(pickle.dumps({"segments": [], "device_traces": [[]]}))
    ended = cli("profile", "--device", "a100-40gb", *arguments)
    assert ended.code == code
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "harmed").exists()


def test_sides_that_are_none_are_bad_usage(cli: Run, tmp_path: Path) -> None:
    ended = cli("diff", str(tmp_path), str(tmp_path / "other.json"))
    assert ended.code == 2
    assert "holds no profile" in ended.err
