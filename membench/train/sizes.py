"""Whether samples of the size that is asked for can be had from the cases; only headers are read."""

from collections.abc import Iterator

from membench.errors import UsageError
from membench.spec import Volume
from membench.train.layouts import Found
from membench.train.spec import TrainSpec
from membench.units import format_volume


def check_patch(spec: TrainSpec, found: Found) -> None:
    """Refuse a patch that is larger on a side than every case: it would be made of padding.

    Raises:
        UsageError: it is larger than the largest case, each side of which is rounded up to the network's grid.
    """
    if spec.patch is None or not (shapes := list(_shapes(found))):
        return
    largest = max(each[0] for each in shapes), max(each[1] for each in shapes), max(each[2] for each in shapes)
    grid = spec.network.grid
    limit = tuple(-(-side // grid) * grid for side in largest)
    if any(side > most for side, most in zip(spec.patch, limit, strict=True)):
        fits = "x".join(str(min(side, most)) for side, most in zip(spec.patch, limit, strict=True))
        raise UsageError(
            f"patch {format_volume(spec.patch)} is larger than the largest case, {format_volume(largest)} voxels; "
            f"choose one of at most --patch {fits}"
        )


def _shapes(found: Found) -> Iterator[Volume]:
    """The cases' voxels along the axes of a sample, which is oriented; a broken case is for others to name."""
    import nibabel as nib

    for case in found.cases:
        try:
            image = nib.load(case.images[0])
            sides = dict(zip(nib.io_orientation(image.affine)[:, 0].tolist(), image.shape, strict=False))
            yield sides[0], sides[1], sides[2]
        except Exception:
            continue
