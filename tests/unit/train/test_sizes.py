"""A patch is cut from a case, so it is not larger than one."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small import NETWORK, small

from membench.errors import UsageError
from membench.spec import Volume
from membench.train.layouts import LAYOUTS, Case, Found, find_cases
from membench.train.sizes import check_patch


@pytest.mark.parametrize("layout", ["2021", "msd"])
def test_as_large_as_the_largest_case_rounded_up_and_no_larger(phantoms: dict[str, Path], layout: str) -> None:
    found = find_cases(phantoms[layout])  # 24 x 20 x 16
    check_patch(small(network=NETWORK, patch=(24, 20, 16)), found)
    check_patch(small(network=NETWORK, patch=None), found)
    for patch in ((26, 20, 16), (24, 22, 16), (24, 20, 18)):
        with pytest.raises(UsageError, match=r"larger than the largest case, 24x20x16 voxels; .* --patch 24x20x16"):
            check_patch(small(network=NETWORK, patch=patch), found)


def _lying(folder: Path, name: str, shape: Volume, affine: np.ndarray) -> Case:
    path = folder / f"{name}.nii"
    nib.Nifti1Image(np.zeros(shape, np.uint8), affine).to_filename(path)
    return Case(name=name, images=(path,), truth=path)


def test_sides_are_those_of_the_oriented_cases(tmp_path: Path) -> None:
    """The second case's axes are stored in another order, one has an odd side, and a third cannot be opened."""
    broken = Case(name="broken", images=(tmp_path / "none.nii",), truth=tmp_path / "none.nii")
    turned = np.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)  # stored: y, z, x
    cases = (_lying(tmp_path, "a", (7, 4, 4), np.eye(4)), _lying(tmp_path, "b", (4, 11, 4), turned), broken)
    found = Found(layout=LAYOUTS["2021"], cases=cases, bad=())
    check_patch(small(patch=(8, 4, 12)), found)
    with pytest.raises(UsageError, match="7x4x11 voxels; choose one of at most --patch 8x4x4"):
        check_patch(small(patch=(8, 12, 4)), found)
    check_patch(small(), Found(layout=LAYOUTS["2021"], cases=(broken,), bad=()))
