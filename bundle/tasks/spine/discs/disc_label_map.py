"""Label maps with one voxel a disc: NIfTI volumes in which the voxel at a disc's tip holds its number.

Points are never resampled as voxels: a map is read into world mm by its own affine, and drawn anew on the grid that is
asked for. Stored values may be off by what scaling left of them, such as 3.0000457 for 3 (Spine Generic, issue 95).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.io.volume_files import NIFTI
from bundle.utils.atomic_write import atomic_write

from .disc_errors import DiscFileError, DiscPlacementError
from .disc_points import Disc, point_of
from .levels import OTHER_LANDMARKS, check_numbering, disc_number, to_totalspineseg

logger = logging.getLogger(__name__)

OFF_WHOLE = 0.1
"""A value may be off a whole number by so much; more is the mark of an interpolated map."""

LARGEST_BLOB = 1000.0
"""A value in more than these mm^3 is a structure, not a point: the smallest cervical discs are larger."""


def read_label_map(path: str | Path, *, numbering: str = "sct") -> list[Disc]:
    """Read the points of a label map.

    Values that are no disc are left out and named in the log. A value in several voxels gives their centroid, and a
    warning.

    Args:
        path: NIfTI file.
        numbering: ``"sct"`` (3 = C2-C3) or ``"totalspineseg"`` (63 = C2-C3).

    Returns:
        Discs sorted by number, in world mm by the label map's own affine.

    Raises:
        DiscFileError: when the file cannot be read, is no volume, has no place in the world, or holds no points but
            fractions, NaN or whole structures.
        ValueError: when the numbering is unknown.
    """
    check_numbering(numbering)
    voxels, affine = _load(path)
    flat = voxels.ravel(order="F")
    labelled = np.flatnonzero(flat != 0)
    places = np.stack(np.unravel_index(labelled, voxels.shape, order="F"), axis=1)
    stored = flat[labelled].astype(np.float64)
    values = _whole_values(path, stored)
    places, values = places[values != 0], values[values != 0]
    numbers = {int(value): disc_number(int(value), numbering) for value in np.unique(values)}
    _tell_others(path, [value for value, number in numbers.items() if number is None])
    found = {number: places[values == value] for value, number in numbers.items() if number is not None}
    return [Disc(number, _point(path, found[number], number, affine)) for number in sorted(found)]


def draw_label_map(
    discs: Iterable[Disc], shape: Sequence[int], affine: np.ndarray, *, numbering: str = "sct"
) -> np.ndarray:
    """Draw discs on a grid: each sets the voxel nearest to it, one up to a voxel beyond the border the border voxel.

    Args:
        discs: one a number.
        shape: size of the grid.
        affine: from its voxels to the world in mm.
        numbering: ``"sct"`` or ``"totalspineseg"``.

    Returns:
        uint8 array of that shape.

    Raises:
        DiscPlacementError: when a disc lies further outside, or two lie on one voxel.
        ValueError: when the numbering is unknown or has no value for a disc.
    """
    check_numbering(numbering)
    labels = np.zeros(tuple(shape), dtype=np.uint8)
    drawn: dict[tuple[int, ...], Disc] = {}
    for disc in discs:
        voxel = _voxel_on(disc, labels.shape, affine)
        if voxel in drawn:
            raise DiscPlacementError(
                f"{drawn[voxel].name} and {disc.name} lie on one voxel, {list(voxel)}: one of them is wrong, "
                "or the grid is too coarse."
            )
        drawn[voxel] = disc
        labels[voxel] = disc.value if numbering == "sct" else to_totalspineseg(disc.value)
    return labels


def nearest_voxel(disc: Disc, affine: np.ndarray) -> tuple[int, ...]:
    """Return the indices of the voxel nearest to a disc, on the grid or not."""
    place = np.linalg.solve(np.asarray(affine, dtype=np.float64), [*disc.position, 1.0])[:3]
    return tuple(int(index) for index in np.rint(place))


def write_label_map(
    discs: Iterable[Disc], target: str | Path, image: str | Path, *, numbering: str = "sct"
) -> np.ndarray:
    """Write discs as a uint8 label map with the shape, affine, orientation and codes of a NIfTI image.

    Args:
        discs: one a number.
        target: ``.nii.gz`` or ``.nii`` file to write.
        image: NIfTI file whose grid is taken.
        numbering: ``"sct"`` or ``"totalspineseg"``.

    Returns:
        The label map that was written.

    Raises:
        DiscFileError: when the image cannot be read.
        DiscPlacementError: when a disc has no voxel of its own on the grid.
        ValueError: when the target has another ending, or the numbering is unknown or has no value for a disc.
    """
    target = Path(target)
    if not target.name.lower().endswith(NIFTI):
        raise ValueError(f"label maps are written as .nii.gz or .nii, got {target.name!r}.")
    reference = _open(image)
    labels = draw_label_map(discs, reference.shape[:3], reference.affine, numbering=numbering)
    header = reference.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    with atomic_write(target) as file:
        nib.save(type(reference)(labels, None, header), file)
    return labels


def _voxel_on(disc: Disc, shape: Sequence[int], affine: np.ndarray) -> tuple[int, ...]:
    voxel = nearest_voxel(disc, affine)
    inside = tuple(min(max(index, 0), size - 1) for index, size in zip(voxel, shape, strict=True))
    if any(abs(index - near) > 1 for index, near in zip(voxel, inside, strict=True)):
        raise DiscPlacementError(
            f"{disc.name} at {[round(x, 1) for x in disc.position]} mm (R, A, S) lies outside the grid: its voxel "
            f"would be {list(voxel)}, the grid has {list(shape)}. Check that points and image belong together."
        )
    return inside


def _open(path: str | Path) -> Any:
    try:
        image: Any = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise DiscFileError(path, "is no NIfTI file of one part", "convert it to .nii.gz")
    except DiscFileError:
        raise
    except Exception as error:
        raise DiscFileError(path, f"cannot be read as NIfTI ({error})", "check the path, or export it again") from error
    return image


def _load(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels ``(I, J, K)`` of a label map and its affine."""
    image = _open(path)
    shape = image.shape
    if len(shape) < 3 or set(shape[3:]) - {1}:
        raise DiscFileError(path, f"has the shape {shape}, a volume is expected", "save the label map as one volume")
    if not (int(image.header["sform_code"]) or int(image.header["qform_code"])):
        raise DiscFileError(
            path, "has neither sform nor qform, so its place is unknown", "copy the geometry of its image into it"
        )
    try:
        voxels = np.asanyarray(image.dataobj).reshape(shape[:3])
    except Exception as error:
        raise DiscFileError(path, f"has voxels that cannot be read ({error})", "copy or export it again") from error
    return voxels, image.affine


def _whole_values(path: str | Path, stored: np.ndarray) -> np.ndarray:
    """Return the values of the labelled voxels, rounded."""
    values = np.rint(stored)
    off = ~np.isclose(stored, values, rtol=0, atol=OFF_WHOLE) | ~np.isfinite(stored)
    if off.any():
        raise DiscFileError(
            path,
            f"has {int(off.sum())} voxels that hold no whole number, such as {stored[off][0]:.4g}",
            "take the map from before it was interpolated",
        )
    return values


def _tell_others(path: str | Path, values: Sequence[int]) -> None:
    if values:
        shown = [f"{value} ({OTHER_LANDMARKS.get(value, 'unknown')})" for value in values[:8]]
        shown += ["..."] if len(values) > 8 else []
        logger.info("%s: left out the values that are no discs: %s.", path, ", ".join(shown))


def _point(path: str | Path, places: np.ndarray, number: int, affine: np.ndarray) -> tuple[float, float, float]:
    """Return the centroid of voxels ``(n, 3)`` in world mm."""
    if len(places) > 1:
        volume = len(places) * abs(float(np.linalg.det(affine[:3, :3])))
        if volume > LARGEST_BLOB:
            raise DiscFileError(
                path,
                f"holds the value of disc {number} in {len(places)} voxels, which is a mask, not a point",
                "derive points from masks with bundle.tasks.spine.discs.discs_from_disc_mask",
            )
        apart = np.linalg.norm((np.ptp(places, axis=0)) * np.linalg.norm(affine[:3, :3], axis=0))
        logger.warning(
            "%s: disc %d is in %d voxels over %.1f mm; their mean is taken.", path, number, len(places), apart
        )
    return point_of(affine[:3, :3] @ places.mean(axis=0) + affine[:3, 3])
