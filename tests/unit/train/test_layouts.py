import json
import shutil
from pathlib import Path

import pytest

from membench.errors import UsageError
from membench.train.layouts import LAYOUTS, find_cases, layout_named


def test_labels_and_regions() -> None:
    assert LAYOUTS["2021"].labels == (0, 1, 2, 4)
    assert LAYOUTS["2021"].regions == ((1, 2, 4), (1, 4), (4,))
    assert LAYOUTS["2023"].regions == ((1, 2, 3), (1, 3), (3,))
    assert LAYOUTS["msd"].regions == ((1, 2, 3), (2, 3), (3,))  # its 1 is the oedema


def test_cases_are_listed_in_order_with_their_modalities(phantoms: dict[str, Path]) -> None:
    found = find_cases(phantoms["2023"])
    assert [case.name for case in found.cases] == [f"BraTS-GLI-0000{n}-000" for n in range(3)]
    assert [path.name[20:] for path in found.cases[0].files] == [
        f"{kind}.nii.gz" for kind in ("t2f", "t1n", "t1c", "t2w", "seg")
    ]
    assert found.bad == ()
    assert len(find_cases(phantoms["msd"]).cases[0].images) == 1


def test_a_folder_in_the_folder_is_found_and_a_second_layout_refused(phantoms: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(phantoms["2020"], tmp_path / "MICCAI_BraTS2020_TrainingData")
    assert len(find_cases(tmp_path).cases) == 3
    shutil.copytree(phantoms["msd"], tmp_path / "Task01_BrainTumour")
    with pytest.raises(UsageError, match="more than one layout, 2020 and msd"):
        find_cases(tmp_path)


def test_a_missing_modality_is_named(phantoms: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(phantoms["2021"], tmp_path / "data")
    (folder / "BraTS2021_00001" / "BraTS2021_00001_t1ce.nii.gz").unlink()
    found = find_cases(folder)
    assert [case.name for case in found.cases] == ["BraTS2021_00000", "BraTS2021_00002"]
    (bad,) = found.bad
    assert str(bad).startswith("case BraTS2021_00001: there is no file BraTS2021_00001_t1ce.nii.gz in")


def test_uncompressed_files_are_read(phantoms: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(phantoms["2021"] / "BraTS2021_00001", tmp_path / "BraTS2021_00001")
    for file in folder.iterdir():
        file.rename(file.with_suffix(""))
    assert find_cases(tmp_path).cases[0].truth.name == "BraTS2021_00001_seg.nii"


def test_the_decathlons_description(phantoms: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(phantoms["msd"], tmp_path / "data")
    (folder / "labelsTr" / "BRATS_002.nii.gz").unlink()
    (bad,) = find_cases(folder).bad
    assert bad.case == "BRATS_002"
    described = folder / "dataset.json"
    content = json.loads(described.read_text())
    described.write_text(json.dumps(content | {"modality": {"0": "CT"}}))
    with pytest.raises(UsageError, match="its modality is"):
        find_cases(folder)
    for text in ("{", "{}", '{"training": [1]}', '{"training": []}'):
        described.write_text(text)
        with pytest.raises(UsageError, match=r"dataset\.json"):
            find_cases(folder)


def test_what_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        find_cases(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no cases in a layout that is known"):
        find_cases(tmp_path)
    with pytest.raises(UsageError, match="choose 2020, 2021, 2023, msd"):
        layout_named("2019")
