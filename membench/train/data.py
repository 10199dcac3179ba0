"""Cases become samples: read, checked, oriented, cropped and normalised once by MONAI, and kept on disk.

Everything random about a sample is decided by its number alone, so a training that goes on from step k sees what one
that never stopped would have seen, with any number of ranks and workers.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import nibabel as nib
import numpy as np
import torch
from monai.data import PersistentDataset
from monai.transforms import (
    Compose,
    CropForegroundd,
    DivisiblePadd,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SpatialPadd,
    Transform,
)
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from membench.errors import UsageError
from membench.train.files import writing
from membench.train.layouts import MODALITIES, Case, CaseError, Found, Layout
from membench.train.spec import TrainSpec

BOTH = ("image", "truth")
_VERSION = 1  # of what is kept on disk
Sample = dict[str, Tensor]
Item = dict[str, Any]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Cases ready for training: ``training`` and ``held_out`` give items of

    - ``image`` (4, X, Y, Z) float32, normalised in each modality over the voxels that are not 0,
    - ``truth`` (3, X, Y, Z) uint8, the regions of `membench.train.layouts.REGIONS`,
    - ``affine`` (4, 4) float64, from these voxels to the millimetres of the case's own files.

    ``left_out`` are the cases that were skipped. ``digest`` is the same exactly for the same files, split alike.
    """

    layout: Layout
    training: Sequence[Item]
    held_out: Sequence[Item]
    training_cases: tuple[Case, ...]
    held_out_cases: tuple[Case, ...]
    left_out: tuple[CaseError, ...]
    digest: str


def prepare(
    found: Found,
    spec: TrainSpec,
    folder: Path,
    *,
    skip_bad: bool = False,
    workers: int = 0,
    on_case: Callable[[Case], None] = lambda case: None,
) -> Prepared:
    """Read and check every case once, and keep what training needs of it in ``folder``, where it is found next time.

    ``workers`` processes do it, or this one.

    Raises:
        CaseError: a case is incomplete, broken or inconsistent, and is not to be skipped.
        UsageError: too few cases are left to train on, or to hold out.
        MembenchError: the folder cannot be written.
    """
    bad = list(found.bad)
    if bad and not skip_bad:
        raise bad[0]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    reasons = DataLoader(_Readings(found, spec, folder), batch_size=None, num_workers=workers)
    for case, reason in zip(found.cases, reasons, strict=True):
        on_case(case)
        if reason:
            bad.append(CaseError(case.name, reason))
            if not skip_bad:
                raise bad[-1]
    names = {error.case for error in bad}
    good = [case for case in found.cases if case.name not in names]
    training, held_out = _split(good, spec)
    parts = [_dataset(found, part, spec, folder) for part in (training, held_out)]
    return Prepared(
        layout=found.layout,
        training=parts[0],
        held_out=parts[1],
        training_cases=tuple(training),
        held_out_cases=tuple(held_out),
        left_out=tuple(bad),
        digest=hashlib.sha256(json.dumps([part.data for part in parts]).encode()).hexdigest(),
    )


class _Readings(Dataset[str]):
    """Reads cases by number, and gives for each why it cannot be trained on; empty if it can.

    In processes, not threads: MONAI's reader of images mixes up what two threads read.
    """

    def __init__(self, found: Found, spec: TrainSpec, folder: Path) -> None:
        self.found = found
        self.dataset = _dataset(found, found.cases, spec, folder)

    def __len__(self) -> int:
        return len(self.found.cases)

    def __getitem__(self, number: int) -> str:
        try:
            self.dataset[number]
        except Exception as error:
            return _diagnosis(self.found.cases[number], self.found.layout, error)
        return ""


def _split(cases: Sequence[Case], spec: TrainSpec) -> tuple[list[Case], list[Case]]:
    """The cases to train on and those held out, each in order."""
    count = max(1, round(spec.held_out * len(cases))) if spec.held_out else 0
    if len(cases) - count < 1:
        raise UsageError(f"{len(cases)} cases are too few to train on some and hold out {count}")
    chosen = set(np.random.default_rng(spec.seed).permutation(len(cases))[:count].tolist())
    parts: tuple[list[Case], list[Case]] = ([], [])
    for number, case in enumerate(cases):
        parts[number in chosen].append(case)
    return parts


def _dataset(found: Found, cases: Iterable[Case], spec: TrainSpec, folder: Path) -> PersistentDataset:
    """The cases as they are kept; a file that was changed, or other preparation, makes another entry."""
    cropped = spec.patch is not None
    items = []
    for case in cases:
        stamps = [(stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in case.files)]
        key = json.dumps([_VERSION, found.layout.name, cropped, stamps])
        items.append({"image": [str(path) for path in case.images], "truth": str(case.truth), "key": key})
    return PersistentDataset(items, _preparation(found.layout, cropped), folder)


def _preparation(layout: Layout, cropped: bool) -> Compose:
    steps = [
        LoadImaged(BOTH, reader="NibabelReader"),
        EnsureChannelFirstd(BOTH),
        _Checked(layout),
        Orientationd(BOTH, axcodes="RAS", labels=None),
        *([CropForegroundd(BOTH, source_key="image", allow_smaller=False)] if cropped else []),
        NormalizeIntensityd("image", nonzero=True, channel_wise=True),
        _Regions(layout),
        EnsureTyped(BOTH, dtype=(torch.float32, torch.uint8), track_meta=False),
    ]
    return Compose(steps)


class _UnsoundError(ValueError):
    """A case was read, but cannot be trained on."""


class _Checked(Transform):  # type: ignore[misc]
    """Refuses what `_diagnosis` can name."""

    def __init__(self, layout: Layout) -> None:
        self.labels = layout.labels

    def __call__(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        image, truth = item["image"], item["truth"]
        same = image.shape == (len(MODALITIES), *truth.shape[1:]) and _alike(image.affine, truth.affine)
        if not same or not image.isfinite().all() or not np.isin(np.unique(truth), self.labels).all():
            raise _UnsoundError
        return item


class _Regions(Transform):  # type: ignore[misc]
    """Labels (1, X, Y, Z) become regions (3, X, Y, Z); the affine becomes an entry of its own."""

    def __init__(self, layout: Layout) -> None:
        self.regions = [torch.tensor(labels) for labels in layout.regions]

    def __call__(self, item: Mapping[str, Any]) -> Item:
        labels = item["truth"].as_tensor()[0]
        truth = torch.stack([torch.isin(labels, region) for region in self.regions])
        affine = (
            item["image"].affine.as_tensor() if hasattr(item["image"].affine, "as_tensor") else item["image"].affine
        )
        return {"image": item["image"], "truth": truth, "affine": affine.to(torch.float64)}


def _alike(first: Any, second: Any) -> bool:
    return bool(np.allclose(first, second, atol=0.01))  # mm


def _diagnosis(case: Case, layout: Layout, error: BaseException) -> str:
    """Why a case could not be read, naming the file: each is opened by itself, which only a failure pays for."""
    first: tuple[Path, tuple[int, ...], Any] | None = None
    for path in case.files:
        try:
            image = nib.load(path)
            voxels = np.asanyarray(image.dataobj)
        except Exception as broken:
            return f"{path} is broken: {_one_line(broken)}"
        channels = (len(MODALITIES),) if len(case.images) == 1 and path != case.truth else ()
        if len(voxels.shape) < 3 or voxels.shape[3:] != channels:
            return f"{path} has the shape {voxels.shape}"
        first = first or (path, voxels.shape[:3], image.affine)
        if voxels.shape[:3] != first[1]:
            return f"{path} has the shape {voxels.shape[:3]}, and {first[0].name} {first[1]}"
        if not _alike(image.affine, first[2]):
            return f"{path} lies elsewhere than {first[0].name}: their affines differ"
        if not np.isfinite(voxels).all():
            return f"{path} has values that are not finite"
        unknown = set(np.unique(voxels).tolist()) - set(layout.labels) if path == case.truth else set()
        if unknown:
            named = ", ".join(f"{label:g}" for label in sorted(unknown)[:5])
            known = ", ".join(map(str, layout.labels))
            return f"{path} has unknown labels {named}; the layout {layout.name} has {known}"
    return f"cannot be read: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Samples(Dataset[Sample]):
    """Samples without end, by number: a case, and its patch, flips and brightness.

    Each pass over the cases is in a random order. ``image`` is (4, *patch) float32, ``truth`` (3, *patch) uint8.
    """

    def __init__(self, items: Sequence[Item], spec: TrainSpec) -> None:
        self.items = items
        self.spec = spec

    def __getitem__(self, number: int) -> Sample:
        seed = self.spec.seed
        turn, place = divmod(number, len(self.items))
        item = self.items[np.random.default_rng((seed, turn)).permutation(len(self.items))[place]]
        sampling = _sampling(self.spec)
        sampling.set_random_state(int(np.random.SeedSequence((seed, number)).generate_state(1)[0]))
        sample = sampling({key: item[key] for key in BOTH})
        sample = sample[0] if isinstance(sample, list) else sample
        return {key: sample[key] for key in BOTH}


def numbers(spec: TrainSpec, step: int, rank: int, ranks: int) -> list[list[int]]:
    """Which samples a rank takes in a step (from 0), batch by batch: each number once, in order over all ranks."""
    first = (step * ranks + rank) * spec.accumulate * spec.batch
    return [list(range(first + n * spec.batch, first + (n + 1) * spec.batch)) for n in range(spec.accumulate)]


def _sampling(spec: TrainSpec) -> Compose:
    """The random part, as in MONAI's own training on BraTS; half of the patches are centred in a tumour."""
    if spec.patch:
        steps: list[Any] = [
            _with_whole,
            SpatialPadd((*BOTH, "whole"), spec.patch),
            RandCropByPosNegLabeld(BOTH, label_key="whole", spatial_size=spec.patch, num_samples=1),
        ]
    else:
        steps = [DivisiblePadd(BOTH, spec.network.grid)]
    if spec.augment:
        steps += [RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)]
        steps += [RandScaleIntensityd("image", factors=0.1, prob=1.0), RandShiftIntensityd("image", 0.1, prob=1.0)]
    return Compose([*steps, EnsureTyped(BOTH, dtype=(torch.float32, torch.uint8), track_meta=False)])


def _with_whole(item: Mapping[str, Any]) -> Item:
    """MONAI takes the first of several channels for background, so the patch's centre is chosen by one alone."""
    return {**item, "whole": item["truth"][:1]}
