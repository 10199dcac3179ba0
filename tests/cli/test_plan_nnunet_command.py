"""``membench plan-nnunet`` with a made-up device: 512 MiB for each sample and unit of the patch's longest side."""

import json
from pathlib import Path

import pytest
from running import Run

from membench.spec import ProbeSpec


def write(folder: Path, *, dataset: bool = True) -> Path:
    strides = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
    architecture = {
        "network_class_name": "nets.Net",
        "arch_kwargs": {"strides": strides},
        "_kw_requires_import": [],
    }
    fields = {"batch_size": 2, "patch_size": [32, 16, 32], "normalization_schemes": ["Z"], "architecture": architecture}
    half = {"inherits_from": "3d_fullres", "patch_size": [16, 16, 16]}
    plans = folder / "plans.json"
    plans.write_text(json.dumps({"dataset_name": "D", "configurations": {"3d_fullres": fields, "half": half}}))
    if dataset:
        content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumour": 1}}
        (folder / "dataset.json").write_text(json.dumps(content))
    return plans


def test_what_fits_is_one_document(cli: Run, probes: list[ProbeSpec], tmp_path: Path) -> None:
    ended = cli("plan-nnunet", str(write(tmp_path)), "--budget", "12GiB", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["dataset"] == {"channels": 1, "outputs": 2, "foreground": 1, "regions": False}
    full, half = found["configurations"]
    assert (full["name"], full["status"], full["peak_reserved_bytes"]) == ("3d_fullres", "fits", 8 * 2**30)
    assert (full["largest_patch_size"], full["largest_batch_size"]) == ([48, 24, 48], 3)
    assert (half["largest_patch_size"], half["largest_batch_size"]) == ([48, 48, 48], 6)
    assert len({probe.key() for probe in probes}) == len(probes)


def test_a_plan_that_does_not_fit_is_told_with_what_would(cli: Run, probes: list[ProbeSpec], tmp_path: Path) -> None:
    words = ("plan-nnunet", str(write(tmp_path)), "--budget", "6GiB", "--device", "t4")
    ended = cli(*words)
    assert ended.code == 3, ended.err
    line = next(line for line in ended.out.splitlines() if line.startswith("3d_fullres"))
    assert line.split() == ["3d_fullres", "32×16×32", "2", "✗", "out", "of", "memory", "24×12×24", "1"]
    assert "6.00 GiB on NVIDIA T4" in ended.out
    assert cli(*words, "--configuration", "half").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--configuration", "2d"), "the plans have no configuration '2d'; they have 3d_fullres, half"),
        (("--dataset", "nowhere.json"), "there is no file nowhere.json"),
        ((), "give --classes"),
        (("--classes", "3", "--budget", "much"), "is not a size in bytes"),
        (("--classes", "3", "--steps", "1"), "steps must be at least 2"),
        (("--classes", "1"), "should be greater than or equal to 2"),
    ],
)
def test_bad_usage_is_one_line(
    cli: Run, probes: list[ProbeSpec], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    ended = cli("plan-nnunet", str(write(tmp_path, dataset=False)), *options)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_options_say_what_no_file_does(cli: Run, probes: list[ProbeSpec], tmp_path: Path) -> None:
    ended = cli("plan-nnunet", str(write(tmp_path, dataset=False)), "--classes", "3", "--channels", "5", "--json")
    assert json.loads(ended.out)["dataset"] == {"channels": 5, "outputs": 3, "foreground": 2, "regions": False}
