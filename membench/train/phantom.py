"""Phantoms: analytic heads with tumours, in the layouts of BraTS, for want of data that may be redistributed.

As in BraTS the skull is stripped, the background is exactly 0, and the volume spans 240 x 240 x 155 mm whatever its
shape. A brain is an ellipsoid with a wavy surface: fluid outside and in the ventricles, a folded cortex, white matter,
deep grey nuclei. One or two tumours lie in it, each three nested regions bounded by wavy ellipsoids; the innermost part
is necrotic in most. Contrasts are those that the four sequences have in principle, not any scanner's.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from membench.errors import UsageError
from membench.spec import Volume
from membench.train.files import writing
from membench.train.layouts import MODALITIES, MSD_LABELS, MSD_MODALITY, Layout

EXTENT = (240.0, 240.0, 155.0)  # mm, of every BraTS volume
SEMI_AXES = np.array([68.0, 85.0, 64.0])  # mm, of a brain: left-right, back-front, down-up
_BRIGHTEST = 1000  # of the stored integers

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Brightness in the order of MODALITIES: FLAIR, T1, T1 with contrast agent, T2.
FLUID = (0.10, 0.18, 0.18, 1.00)
GREY = (0.58, 0.52, 0.54, 0.62)
WHITE = (0.46, 0.78, 0.80, 0.44)
OEDEMA = (0.95, 0.48, 0.50, 0.88)
NECROSIS = (0.50, 0.28, 0.30, 0.92)
ENHANCING = (0.80, 0.50, 1.15, 0.72)


class Phantom(NamedTuple):
    """``images`` (4, X, Y, Z) int16 in the order of `MODALITIES`, ``regions`` (3, X, Y, Z), nested, from whole in."""

    images: NDArray[np.int16]
    regions: Mask


def make_phantom(shape: Volume, seed: int, number: int) -> Phantom:
    """Make the head of this number; the same arguments give the same voxels."""
    random = np.random.default_rng((seed, number))
    place = _millimetres(shape)
    depth = _depth(place, shape, random)
    brain = depth > 0
    contrast = _tissues(place, depth, shape, random)
    regions = _tumours(place, depth, shape, random)
    whole, core, enhancing = regions
    for mask, brightness in ((whole, OEDEMA), (core, NECROSIS), (enhancing, ENHANCING)):
        contrast[:, mask] = _varied(brightness, random)[:, None]
    images = np.stack([_acquired(channel, brain, shape, random) for channel in contrast])
    return Phantom(images, regions)


def write_phantoms(folder: Path, layout: Layout, cases: int, shape: Volume, seed: int) -> Iterator[Path]:
    """Write cases into a folder that is new or empty, and tell each case's folder (or image) once it is there.

    Raises:
        UsageError: the folder has something in it, there are no cases to write, or a side is too small for a head.
        MembenchError: the folder cannot be written.
    """
    if not 1 <= cases <= 999:  # the names of 2020 have three digits
        raise UsageError(f"cases must be at least 1 and at most 999, not {cases}")
    if min(shape) < 16:
        raise UsageError(f"a side of {min(shape)} voxels is too small for a head; the least is 16")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty; phantoms are written into a new folder")
    write = _write_listed if layout.name == "msd" else _write_case
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(cases):
            yield write(folder, layout, number, make_phantom(shape, seed, number))
        if layout.name == "msd":
            _describe(folder, cases)


def _millimetres(shape: Volume) -> Array:
    """Where each voxel lies from the middle: (3, X, Y, Z)."""
    axes = [
        (np.arange(side, dtype=np.float32) + 0.5) / side * length - length / 2
        for side, length in zip(shape, EXTENT, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _waves(shape: Volume, length: float, random: np.random.Generator) -> Array:
    """A smooth random field of mean 0 and deviation about 1, whose features are ``length`` mm long."""
    coarse = [max(4, round(extent / length) + 1) for extent in EXTENT]
    field = random.standard_normal(coarse).astype(np.float32)
    # Cubic interpolation is linear and separable: three products of matrices do what zooming the volume does.
    for side, few in zip(shape, coarse, strict=True):
        interpolation = ndimage.zoom(np.eye(few, dtype=np.float32), (side / few, 1), order=3, mode="nearest")
        field = np.tensordot(field, interpolation, axes=(0, 1))
    return np.asarray(field / field.std(), dtype=np.float32)


def _depth(place: Array, shape: Volume, random: np.random.Generator) -> Array:
    """About how many mm each voxel lies below the brain's surface; negative outside."""
    axes = SEMI_AXES * random.uniform(0.92, 1.06, 3)
    radius = np.sqrt(((place / axes.astype(np.float32)[:, None, None, None]) ** 2).sum(0))
    surface = 1 + 0.03 * _waves(shape, 45, random)
    return np.asarray((surface - radius) * axes.min(), dtype=np.float32)


def _tissues(place: Array, depth: Array, shape: Volume, random: np.random.Generator) -> Array:
    """Brightness of a healthy brain: (4, X, Y, Z)."""
    folds = np.abs(_waves(shape, 14, random))  # small along the bottoms of sulci
    x, y, z = place
    side = np.abs(x)
    ventricle = _ellipsoid((side - 12, y + 4, z - 8), np.array([9, 34, 12]) * random.uniform(0.8, 1.3, 3))
    nucleus = _ellipsoid((side - 22, y - 4, z - 2), np.array([8, 20, 11]) * random.uniform(0.85, 1.15, 3))
    cortex = depth < 4 + 9 * (folds < 0.45)
    sulcus = (depth < 2) | ((depth < 11) & (folds < 0.13)) | ((side < 1.8) & (z > 5) & (depth < 25))
    contrast = np.empty((len(MODALITIES), *shape), dtype=np.float32)
    contrast[:] = _varied(WHITE, random)[:, None, None, None]
    for mask, brightness in ((cortex | (nucleus < 1), GREY), (sulcus | (ventricle < 1), FLUID)):
        contrast[:, mask] = _varied(brightness, random)[:, None]
    return contrast


def _tumours(place: Array, depth: Array, shape: Volume, random: np.random.Generator) -> Mask:
    """The three regions: (3, X, Y, Z)."""
    regions = np.zeros((3, *shape), dtype=bool)
    inside = depth > 2
    for _ in range(1 + (random.random() < 0.2)):
        radius = random.uniform(19, 32)
        centre = SEMI_AXES * _direction(random) * random.uniform(0.25, 0.6)
        offset = place - centre.astype(np.float32)[:, None, None, None]
        distance = _ellipsoid(tuple(offset), radius * random.uniform(0.8, 1.25, 3))
        distance = distance + 0.12 * _waves(shape, 22, random)
        core, necrosis = random.uniform(0.62, 0.75), random.uniform(0.1, 0.65)
        whole = (distance < 1) & inside
        rim = (distance < core) & inside
        hollow = distance + 0.06 * _waves(shape, 12, random) < core * necrosis
        regions |= np.stack([whole, rim, rim & ~hollow])
    return regions


def _direction(random: np.random.Generator) -> NDArray[np.float64]:
    way = random.standard_normal(3)
    return np.asarray(way / np.linalg.norm(way))


def _ellipsoid(offset: tuple[Array, ...], semi_axes: NDArray[np.float64]) -> Array:
    """Distance from the middle in units of the surface's: below 1 is inside."""
    squares = sum((part / np.float32(axis)) ** 2 for part, axis in zip(offset, semi_axes, strict=True))
    return np.sqrt(np.asarray(squares, dtype=np.float32))


def _varied(brightness: tuple[float, ...], random: np.random.Generator) -> Array:
    """A tissue's brightness in this patient."""
    return np.asarray(np.array(brightness) * random.uniform(0.93, 1.07, len(brightness)), dtype=np.float32)


def _acquired(contrast: Array, brain: Mask, shape: Volume, random: np.random.Generator) -> NDArray[np.int16]:
    """What a scanner makes of it: partial volume, an uneven coil, Rician noise, a scale of its own."""
    blurred = ndimage.gaussian_filter(np.where(brain, contrast, 0), 0.6)
    uneven = blurred * np.exp(0.10 * _waves(shape, 110, random))
    real, imaginary = (0.035 * random.standard_normal(shape).astype(np.float32) for _ in range(2))
    magnitude = np.hypot(uneven + real, imaginary) * (_BRIGHTEST * random.uniform(0.6, 1.4))
    return np.where(brain, np.maximum(magnitude.round(), 1), 0).astype(np.int16)


def _labels(layout: Layout, regions: Mask) -> NDArray[np.uint8]:
    labels = np.zeros(regions.shape[1:], dtype=np.uint8)
    for mask, label in zip(regions, (layout.oedema, layout.core, layout.enhancing), strict=True):
        labels[mask] = label
    return labels


def _affine(shape: Volume, layout: Layout) -> NDArray[np.float64]:
    """BraTS stores its volumes towards left and back, with the origin at the corner; the Decathlon right and front."""
    sides = np.array(EXTENT) / shape
    if layout.name == "msd":
        return np.diag([*sides, 1.0])
    affine = np.diag([-sides[0], -sides[1], sides[2], 1.0])
    affine[1, 3] = EXTENT[1] - sides[1]
    return affine


def _stored(layout: Layout, voxels: NDArray[np.generic]) -> nib.Nifti1Image:
    """An image of voxels that are (X, Y, Z, …) towards right and front, laid out as the layout has them."""
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    affine = _affine(shape, layout)
    return nib.Nifti1Image(voxels if affine[0, 0] > 0 else voxels[::-1, ::-1], affine)


def _write_case(folder: Path, layout: Layout, number: int, phantom: Phantom) -> Path:
    name = {
        "2020": f"BraTS20_Training_{number + 1:03d}",
        "2021": f"BraTS2021_{number:05d}",
        "2023": f"BraTS-GLI-{number:05d}-000",
    }[layout.name]
    place = folder / name
    place.mkdir()
    for ending, image in zip(layout.images, phantom.images, strict=True):
        nib.save(_stored(layout, image), place / f"{name}{ending}.nii.gz")
    nib.save(_stored(layout, _labels(layout, phantom.regions)), place / f"{name}{layout.truth}.nii.gz")
    return place


def _write_listed(folder: Path, layout: Layout, number: int, phantom: Phantom) -> Path:
    images, truths = folder / "imagesTr", folder / "labelsTr"
    images.mkdir(exist_ok=True)
    truths.mkdir(exist_ok=True)
    name = f"BRATS_{number + 1:03d}.nii.gz"
    nib.save(_stored(layout, np.moveaxis(phantom.images, 0, -1)), images / name)
    nib.save(_stored(layout, _labels(layout, phantom.regions)), truths / name)
    return images / name


def _describe(folder: Path, cases: int) -> None:
    names = [f"BRATS_{number + 1:03d}.nii.gz" for number in range(cases)]
    content = {
        "name": "phantoms in the layout of Task01_BrainTumour",
        "tensorImageSize": "4D",
        "modality": MSD_MODALITY,
        "labels": MSD_LABELS,
        "numTraining": cases,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (folder / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
