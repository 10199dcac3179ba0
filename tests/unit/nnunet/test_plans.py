"""Plans and data sets of nnU-Net are read, and what is wrong with one is named."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from made_up_plans import DATASET, plans, write

from membench.errors import UsageError
from membench.nnunet import Configuration, Dataset, read_dataset, read_plans


def configuration(folder: Path, name: str) -> Configuration:
    return next(each for each in read_plans(write(folder)).configurations if each.name == name)


def test_configurations_are_read_with_what_they_inherit(tmp_path: Path) -> None:
    read = read_plans(write(tmp_path))
    assert read.dataset_name == "Dataset001_MadeUp"
    assert [each.name for each in read.configurations] == ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"]
    full, cascade = read.configurations[2:]
    assert (full.patch_size, full.batch_size, full.divisors) == ((16, 48, 32), 2, (2, 4, 4))
    assert (cascade.patch_size, cascade.architecture) == (full.patch_size, full.architecture)
    dataset = read_dataset(tmp_path / "dataset.json")
    assert dataset == Dataset(channels=4, outputs=3, foreground=2)
    assert (dataset.channels_of(full), dataset.channels_of(cascade)) == (4, 6)


def test_patches_keep_their_shape_and_divide(tmp_path: Path) -> None:
    full = configuration(tmp_path, "3d_fullres")
    assert full.patch_of(full.units) == full.patch_size
    assert full.patch_of(1) == (2, 4, 4)
    assert full.patch_of(2 * full.units) == (32, 96, 64)
    patches = [full.patch_of(units) for units in range(1, 100)]
    for patch, larger in itertools.pairwise(patches):
        assert all(side % divisor == 0 for side, divisor in zip(patch, full.divisors, strict=True))
        assert max(patch) < max(larger)
        assert all(side <= next_side for side, next_side in zip(patch, larger, strict=True))


def test_regions_have_an_output_each(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    write(tmp_path, dataset=DATASET | {"labels": labels})
    assert read_dataset(tmp_path / "dataset.json") == Dataset(channels=4, outputs=3, foreground=3, regions=True)


def changed(name: str, **fields: Any) -> dict[str, Any]:
    content = plans()
    content["configurations"][name] |= fields
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no JSON object"),
        ({}, "has no configurations"),
        ({"configurations": {}}, "has no configurations"),
        (changed("2d", inherits_from="3d"), "configuration 2d inherits from 3d, which there is not"),
        (changed("2d", inherits_from="2d"), "configuration 2d inherits from itself"),
        (changed("2d", batch_size=0), "do not go together"),
        (changed("2d", batch_size="two"), "Expected `int`, got `str`"),
        (changed("2d", patch_size=[64]), "do not go together"),
        (changed("2d", patch_size=[64, 50]), "has a patch of 64x50, which its strides need in 4x4"),
        (changed("2d", architecture={}), "missing required field `network_class_name`"),
        (changed("2d", architecture={"network_class_name": "a", "arch_kwargs": {}}), "'strides' is missing"),
        ({"configurations": {"2d": {"UNet_class_name": "PlainConvUNet"}}}, "the format of nnU-Net before 2.4"),
    ],
)
def test_what_is_wrong_with_plans_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_plans(write(tmp_path, content))


def test_files_that_are_not_there_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_plans(tmp_path / "none.json")
    with pytest.raises(UsageError, match="is a directory"):
        read_plans(tmp_path)
    (tmp_path / "text.json").write_bytes(b"\xff\x00")
    with pytest.raises(UsageError, match="is not JSON"):
        read_plans(tmp_path / "text.json")
    with pytest.raises(UsageError, match="needs channel_names and labels"):
        read_dataset(write(tmp_path))
