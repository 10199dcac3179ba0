from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from membench.errors import MembenchError, UsageError
from membench.train.layouts import LAYOUTS, find_cases
from membench.train.phantom import make_phantom, write_phantoms

SHAPE = (48, 48, 32)


@pytest.mark.parametrize("number", range(4))
def test_three_nested_regions_inside_the_brain(number: int) -> None:
    images, (whole, core, enhancing) = make_phantom(SHAPE, 0, number)
    assert images.shape == (4, *SHAPE)
    assert images.dtype == np.int16
    assert 0 < enhancing.sum() <= core.sum() < whole.sum()
    assert not (core & ~whole).any()
    assert not (enhancing & ~core).any()
    brain = (images != 0).all(0)
    assert brain[whole].all()
    assert ((images != 0).any(0) == brain).all()
    assert 0.08 < brain.mean() < 0.3
    assert ndimage.label(brain)[1] == 1


def test_contrasts_are_those_of_the_sequences() -> None:
    (flair, t1, t1ce, t2), (whole, core, enhancing) = make_phantom(SHAPE, 0, 0)
    oedema, healthy = whole & ~core, (flair > 0) & ~ndimage.binary_dilation(whole, iterations=2)
    assert flair[oedema].mean() > 1.3 * flair[healthy].mean()
    assert t2[oedema].mean() > 1.2 * t2[healthy].mean()
    assert t1[oedema].mean() < t1[healthy].mean()
    assert t1ce[enhancing].mean() > 1.2 * t1ce[healthy].mean()
    assert t1[enhancing].mean() < t1[healthy].mean()


def test_the_same_seed_gives_the_same_head_and_another_another() -> None:
    first, again, other = (make_phantom((24, 24, 16), seed, 0) for seed in (3, 3, 4))
    assert (first.images == again.images).all()
    assert (first.regions == again.regions).all()
    assert (first.images != other.images).mean() > 0.05


def test_the_files_are_the_same_to_the_byte(tmp_path: Path, phantoms: dict[str, Path]) -> None:
    written = list(write_phantoms(tmp_path / "again", LAYOUTS["2021"], 1, (24, 20, 16), seed=1))
    files = sorted(written[0].iterdir())
    assert len(files) == 5
    for file in files:
        assert file.read_bytes() == (phantoms["2021"] / written[0].name / file.name).read_bytes()


def test_every_layout_holds_the_same_head(phantoms: dict[str, Path]) -> None:
    """Oriented towards right, front and up, images and regions agree whatever the layout."""
    heads = []
    for name, folder in phantoms.items():
        found = find_cases(folder)
        assert found.layout.name == name
        case = found.cases[0]
        loaded = [nib.as_closest_canonical(nib.load(path)).get_fdata() for path in case.files]
        images = loaded[0] if len(case.images) == 1 else np.stack(loaded[:-1], axis=-1)
        regions = [np.isin(loaded[-1], labels) for labels in found.layout.regions]
        heads.append((images, np.stack(regions), nib.load(case.truth)))
    for images, regions, truth in heads:
        assert (images == heads[0][0]).all()
        assert (regions == heads[0][1]).all()
        assert np.allclose(np.multiply(truth.header.get_zooms(), truth.shape), (240, 240, 155))
    assert nib.aff2axcodes(heads[1][2].affine) == ("L", "P", "S")
    assert nib.aff2axcodes(heads[3][2].affine) == ("R", "A", "S")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    layout = LAYOUTS["2021"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    for folder, cases, side, reason in (
        ("full", 1, 32, "is not empty"),
        ("new", 0, 32, "cases must be at least 1"),
        ("new", 1, 8, "too small for a head"),
    ):
        with pytest.raises(UsageError, match=reason):
            list(write_phantoms(tmp_path / folder, layout, cases, (side, side, side), 0))
    with pytest.raises(MembenchError, match="cannot be written"):
        list(write_phantoms(tmp_path / "full" / "mine" / "new", layout, 1, (16, 16, 16), 0))
    assert not (tmp_path / "new").exists()
