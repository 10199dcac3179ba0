import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from small import prepared, small

from membench.errors import UsageError
from membench.spec import NetworkSpec
from membench.train.data import Samples, numbers
from membench.train.layouts import CaseError


def test_every_layout_gives_the_same_items(phantoms: dict[str, Path], tmp_path: Path) -> None:
    found = {name: prepared(folder, tmp_path / name) for name, folder in phantoms.items()}
    first = found["2020"].training[0]
    assert first["image"].shape[0] == 4
    assert first["truth"].shape == (3, *first["image"].shape[1:])
    assert (first["image"].dtype, first["truth"].dtype) == (torch.float32, torch.uint8)
    whole, core, enhancing = first["truth"].bool()
    assert enhancing.any()
    assert not (enhancing & ~core).any()
    assert not (core & ~whole).any()
    for each in found.values():
        assert torch.equal(each.training[0]["image"], first["image"])
        assert torch.equal(each.training[0]["truth"], first["truth"])


def test_images_are_normalised_cropped_and_placed(phantoms: dict[str, Path], tmp_path: Path) -> None:
    data = prepared(phantoms["2021"], tmp_path)
    item, case = data.training[0], data.training_cases[0]
    assert all(side < full for side, full in zip(item["image"].shape[1:], (24, 20, 16), strict=True))
    for channel in item["image"]:
        inside = channel[channel != 0]
        assert inside.mean().item() == pytest.approx(0, abs=1e-4)
        assert inside.std(unbiased=False).item() == pytest.approx(1, abs=1e-3)
    # The middle of the whole tumour is at the same millimetres as in the file.
    truth = nib.load(case.truth)
    expected = nib.affines.apply_affine(truth.affine, np.argwhere(np.asarray(truth.dataobj) > 0)).mean(0)
    found = nib.affines.apply_affine(item["affine"].numpy(), np.argwhere(item["truth"][0].numpy())).mean(0)
    assert found == pytest.approx(expected)


def test_a_case_is_read_once(phantoms: dict[str, Path], tmp_path: Path) -> None:
    data = shutil.copytree(phantoms["2021"], tmp_path / "data")
    before = prepared(data, tmp_path / "kept")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    assert len(kept) == 3
    again = prepared(data, tmp_path / "kept")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == kept
    assert again.digest == before.digest
    truth = again.training_cases[0].truth
    image = nib.load(truth)
    nib.save(nib.Nifti1Image(np.where(np.asarray(image.dataobj) == 4, 1, 0).astype(np.uint8), image.affine), truth)
    changed = prepared(data, tmp_path / "kept")
    assert not changed.training[0]["truth"][2].any()
    assert changed.digest != before.digest


def _rewritten(path: Path, voxels: np.ndarray | None = None, affine: np.ndarray | None = None) -> None:
    image = nib.load(path)
    content = np.asarray(image.dataobj) if voxels is None else voxels
    nib.save(nib.Nifti1Image(content, image.affine if affine is None else affine), path)


def _spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "no gzip":
            path.write_bytes(b"not a picture")
        case "no nifti":
            path.write_bytes(gzip.compress(b"not a picture"))
        case "shape":
            _rewritten(path, np.zeros((24, 20, 15), dtype=np.int16))
        case "dimensions":
            _rewritten(path, np.zeros((24, 20, 16, 2), dtype=np.int16))
        case "elsewhere":
            _rewritten(path, affine=np.diag([1.0, 1, 1, 1]))
        case "not finite":
            _rewritten(path, np.full((24, 20, 16), np.nan, dtype=np.float32))
        case "label":
            _rewritten(path, np.full((24, 20, 16), 7, dtype=np.uint8))


@pytest.mark.parametrize(
    ("ending", "how", "reason"),
    [
        ("t1ce", "truncated", "is broken"),
        ("flair", "no gzip", "is broken"),
        ("seg", "no nifti", "is broken"),
        ("t2", "shape", "has the shape (24, 20, 15), and BraTS2021_00001_flair.nii.gz (24, 20, 16)"),
        ("seg", "shape", "has the shape (24, 20, 15)"),
        ("t1", "dimensions", "has the shape (24, 20, 16, 2)"),
        ("t1", "elsewhere", "lies elsewhere than BraTS2021_00001_flair.nii.gz"),
        ("seg", "elsewhere", "lies elsewhere than BraTS2021_00001_flair.nii.gz"),
        ("t2", "not finite", "values that are not finite"),
        ("seg", "label", "has unknown labels 7; the layout 2021 has 0, 1, 2, 4"),
    ],
)
def test_what_is_wrong_with_a_case_names_it_and_the_file(
    phantoms: dict[str, Path], tmp_path: Path, ending: str, how: str, reason: str
) -> None:
    data = shutil.copytree(phantoms["2021"], tmp_path / "data")
    bad = data / "BraTS2021_00001" / f"BraTS2021_00001_{ending}.nii.gz"
    _spoil(bad, how)
    with pytest.raises(CaseError) as raised:
        prepared(data, tmp_path / "kept")
    assert str(raised.value).startswith(f"case BraTS2021_00001: {bad} ")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    left = prepared(data, tmp_path / "kept", skip_bad=True)
    assert [error.case for error in left.left_out] == ["BraTS2021_00001"]
    assert [case.name[-1] for case in sorted((*left.training_cases, *left.held_out_cases), key=lambda c: c.name)] == [
        "0",
        "2",
    ]


def test_a_four_dimensional_image_of_too_few_channels(phantoms: dict[str, Path], tmp_path: Path) -> None:
    data = shutil.copytree(phantoms["msd"], tmp_path / "data")
    _rewritten(data / "imagesTr" / "BRATS_003.nii.gz", np.zeros((24, 20, 16, 3), dtype=np.int16))
    with pytest.raises(CaseError, match=r"case BRATS_003: .* has the shape \(24, 20, 16, 3\)"):
        prepared(data, tmp_path / "kept")


def test_an_incomplete_case_and_too_few_cases(phantoms: dict[str, Path], tmp_path: Path) -> None:
    data = shutil.copytree(phantoms["2023"], tmp_path / "data")
    for number in range(2):
        (data / f"BraTS-GLI-0000{number}-000" / f"BraTS-GLI-0000{number}-000-t1c.nii.gz").unlink()
    with pytest.raises(CaseError, match="case BraTS-GLI-00000-000: there is no file"):
        prepared(data, tmp_path / "kept")
    with pytest.raises(UsageError, match="1 cases are too few"):
        prepared(data, tmp_path / "kept", skip_bad=True)


def test_a_sample_is_decided_by_its_number(phantoms: dict[str, Path], tmp_path: Path) -> None:
    data = prepared(phantoms["2021"], tmp_path)
    one, other = Samples(data.training, small()), Samples(data.training, small())
    later = [other[number] for number in (7, 3, 5)]
    for number, sample in zip((7, 3, 5), later, strict=True):
        again = one[number]
        assert again["image"].shape == (4, 8, 8, 8)
        assert again["truth"].shape == (3, 8, 8, 8)
        assert torch.equal(again["image"], sample["image"])
        assert torch.equal(again["truth"], sample["truth"])
    assert not torch.equal(one[0]["image"], one[2]["image"])
    tumours = sum(bool(one[number]["truth"][0].any()) for number in range(16))
    assert tumours >= 6  # half of the patches are centred in one


def test_whole_volumes_are_rounded_up_to_the_grid(phantoms: dict[str, Path], tmp_path: Path) -> None:
    spec = small(patch=None, network=NetworkSpec(stages=4))
    data = prepared(phantoms["2021"], tmp_path, spec)
    assert Samples(data.training, spec)[0]["image"].shape == (4, 24, 24, 16)


def test_ranks_share_the_samples_of_a_step() -> None:
    spec = small(batch=2, accumulate=3)
    taken = [number for rank in range(2) for batch in numbers(spec, 5, rank, 2) for number in batch]
    assert taken == list(range(60, 72))
    assert numbers(spec, 0, 0, 1) == [[0, 1], [2, 3], [4, 5]]
