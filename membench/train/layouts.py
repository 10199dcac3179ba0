"""The layouts in which BraTS is distributed, as tables, and the finding of cases in a folder.

Sources: the BraTS challenges' data pages (https://www.synapse.org/brats, releases 2020, 2021 and 2023) and the
``dataset.json`` of the Medical Segmentation Decathlon's Task01_BrainTumour (http://medicaldecathlon.com). The regions
are the challenge's: the whole tumour is all labels, its core all but the oedema, and the enhancing tumour is one label.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from membench.errors import MembenchError, UsageError

MODALITIES = ("flair", "t1", "t1ce", "t2")  # the order of the network's input channels
REGIONS = ("whole", "core", "enhancing")  # the order of its output channels
_ENDINGS = (".nii.gz", ".nii")


class CaseError(MembenchError):
    """A case that cannot be trained on; the message names it and the file."""

    def __init__(self, case: str, reason: str) -> None:
        super().__init__(f"case {case}: {reason}")
        self.case = case


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How cases lie in folders, and what their labels mean.

    ``case`` matches a case's folder, empty where ``dataset.json`` lists the cases. ``images`` are the endings of the
    files' names in the order of `MODALITIES`. ``core`` and ``oedema`` are labels without enhancement.
    """

    name: str
    example: str
    case: str = ""
    images: tuple[str, ...] = ()
    truth: str = ""
    core: int = 1
    oedema: int = 2
    enhancing: int = 4

    @property
    def labels(self) -> tuple[int, ...]:
        """All that a segmentation may hold, background first."""
        return (0, *sorted((self.core, self.oedema, self.enhancing)))

    @property
    def regions(self) -> tuple[tuple[int, ...], ...]:
        """The labels that make up each of `REGIONS`."""
        return self.labels[1:], (self.core, self.enhancing), (self.enhancing,)


_UNTIL_2021 = ("_flair", "_t1", "_t1ce", "_t2")
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            name="2020",
            example="BraTS20_Training_001/BraTS20_Training_001_{flair,t1,t1ce,t2,seg}.nii.gz",
            case=r"BraTS20_Training_\d{3}",
            images=_UNTIL_2021,
            truth="_seg",
        ),
        Layout(
            name="2021",
            example="BraTS2021_00000/BraTS2021_00000_{flair,t1,t1ce,t2,seg}.nii.gz",
            case=r"BraTS2021_\d{5}",
            images=_UNTIL_2021,
            truth="_seg",
        ),
        Layout(
            name="2023",
            example="BraTS-GLI-00000-000/BraTS-GLI-00000-000-{t2f,t1n,t1c,t2w,seg}.nii.gz",
            case=r"BraTS-[A-Z]+-\d{5}-\d{3}",
            images=("-t2f", "-t1n", "-t1c", "-t2w"),
            truth="-seg",
            enhancing=3,
        ),
        Layout(name="msd", example="dataset.json, imagesTr/, labelsTr/", core=2, oedema=1, enhancing=3),
    )
}
# What the Decathlon's dataset.json must say, since the order of channels and the meaning of labels rest on it.
MSD_MODALITY = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
MSD_LABELS = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}


def layout_named(name: str) -> Layout:
    """The layout of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in LAYOUTS:
        raise UsageError(f"there is no layout {name!r}; choose {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One patient's files: four images in the order of `MODALITIES` or one 4-D image, and the segmentation."""

    name: str
    images: tuple[Path, ...]
    truth: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.images, self.truth)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds: its layout, the complete cases, and why others are not."""

    layout: Layout
    cases: tuple[Case, ...]
    bad: tuple[CaseError, ...]


def find_cases(folder: Path) -> Found:
    """Recognise the layout of a folder, or of one folder in it, and list its cases by name. No image is opened.

    Raises:
        UsageError: there is no such folder, no layout is recognised, or more than one.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    matches = [match for layout in LAYOUTS.values() if (match := _matches(layout, folder))]
    if not matches:
        known = "; ".join(f"{layout.name}: {layout.example}" for layout in LAYOUTS.values())
        raise UsageError(f"{folder} holds no cases in a layout that is known ({known})")
    if len(matches) > 1:
        names = " and ".join(found.layout.name for found in matches)
        raise UsageError(f"{folder} holds cases of more than one layout, {names}; name the folder of one of them")
    return matches[0]


def _matches(layout: Layout, folder: Path) -> Found | None:
    """The cases of this layout in the folder itself, or else in the folders in it."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    for level in ([folder], inside):
        cases: list[Case] = []
        bad: list[CaseError] = []
        for found in (each for place in level for each in _cases(layout, place)):
            (bad if isinstance(found, CaseError) else cases).append(found)  # type: ignore[arg-type]
        if cases or bad:
            return Found(layout=layout, cases=tuple(cases), bad=tuple(bad))
    return None


def _cases(layout: Layout, place: Path) -> Iterator[Case | CaseError]:
    if not layout.case:
        yield from _listed(place)
        return
    for folder in sorted(place.iterdir()):
        if folder.is_dir() and re.fullmatch(layout.case, folder.name):
            try:
                images = tuple(_file(folder, ending) for ending in layout.images)
                yield Case(name=folder.name, images=images, truth=_file(folder, layout.truth))
            except CaseError as error:
                yield error


def _file(folder: Path, ending: str) -> Path:
    for kind in _ENDINGS:
        path = folder / f"{folder.name}{ending}{kind}"
        if path.is_file():
            return path
    raise CaseError(folder.name, f"there is no file {folder.name}{ending}{_ENDINGS[0]} in {folder}")


def _listed(place: Path) -> Iterator[Case | CaseError]:
    """The cases that the Decathlon's ``dataset.json`` lists."""
    described = place / "dataset.json"
    if not described.is_file():
        return
    content = _description(described)
    for entry in content["training"]:
        image, truth = (place / str(entry[key]) for key in ("image", "label"))
        name = image.name.split(".")[0]
        missing = [path for path in (image, truth) if not path.is_file()]
        yield (
            CaseError(name, f"there is no file {missing[0]}")
            if missing
            else Case(name=name, images=(image,), truth=truth)
        )


def _description(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = [(entry["image"], entry["label"]) for entry in content["training"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not list training cases as the Decathlon does: {error!r}") from None
    for key, expected in (("modality", MSD_MODALITY), ("labels", MSD_LABELS)):
        if content.get(key, expected) != expected:
            raise UsageError(f"{path} is not of Task01_BrainTumour: its {key} is {content[key]}, not {expected}")
    if not listed:
        raise UsageError(f"{path} lists no training cases")
    return dict(content)
