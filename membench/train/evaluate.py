"""Cases that were held out: segmented window by window, scored, and written as NIfTI. By MONAI and nibabel."""

import math
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.metrics import compute_dice, compute_hausdorff_distance
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from membench.train.layouts import REGIONS, Case, Layout
from membench.train.result import Score
from membench.train.step import Training


def segment(training: Training, image: Tensor) -> Tensor:
    """The nested regions (3, X, Y, Z), bool on the CPU, of a prepared image (4, X, Y, Z)."""
    spec = training.spec
    grid = spec.network.grid
    window = spec.patch or tuple(-(-side // grid) * grid for side in image.shape[1:])
    training.network.eval()
    with torch.no_grad(), training.autocast():
        logits = sliding_window_inference(
            image[None], window, 1, training.network, overlap=spec.overlap, mode="gaussian",
            sw_device=training.device, device="cpu",
        )  # fmt: skip
    whole, core, enhancing = logits[0] > 0
    core |= enhancing  # regions are nested: a voxel of an inner one belongs to the outer ones
    return torch.stack([whole | core, core, enhancing])


def score(case: str, found: Tensor, truth: Tensor, spacing: NDArray[np.float64]) -> tuple[Score, ...]:
    """Score regions (3, X, Y, Z), on voxels of ``spacing`` mm."""
    found, truth = found[None].float(), truth[None].float()
    dice = compute_dice(found, truth, ignore_empty=False)[0].tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns of each region that is missing; here that is None
        distance = compute_hausdorff_distance(
            found, truth, include_background=True, percentile=95, spacing=spacing.tolist()
        )[0].tolist()
    return tuple(
        Score(case=case, region=region, dice=overlap, hd95=mm if math.isfinite(mm) else None)
        for region, overlap, mm in zip(REGIONS, dice, distance, strict=True)
    )


def spacing_of(affine: Tensor) -> NDArray[np.float64]:
    """The sides of a voxel in mm."""
    return np.asarray(voxel_sizes(affine.numpy()), dtype=np.float64)


def write_prediction(folder: Path, case: Case, layout: Layout, found: Tensor, affine: Tensor) -> Path:
    """Write nested regions (3, X, Y, Z) on the prepared grid of ``affine`` as labels in the layout's sense.

    The file has the voxels, the affine and the header of the case's own first image.
    """
    like = nib.load(case.images[0])
    labels = np.zeros(found.shape[1:], dtype=np.uint8)
    whole, core, enhancing = (region.numpy() for region in found)
    for region, label in ((whole, layout.oedema), (core, layout.core), (enhancing, layout.enhancing)):
        labels[region] = label
    voxels = _on_grid(labels, affine.numpy(), like)
    header = like.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.name}.nii.gz"
    nib.save(nib.Nifti1Image(voxels, like.affine, header), path)
    return path


def _on_grid(labels: NDArray[np.uint8], affine: NDArray[Any], like: nib.Nifti1Image) -> NDArray[np.uint8]:
    """Undo orientation and cropping: the two grids differ by whole voxels, axes and directions alone."""
    between = np.round(np.linalg.inv(affine) @ like.affine)  # from the image's voxels to ours
    voxels = ndimage.affine_transform(labels, between[:3, :3], between[:3, 3], like.shape[:3], order=0)
    return np.asarray(voxels, dtype=np.uint8)
