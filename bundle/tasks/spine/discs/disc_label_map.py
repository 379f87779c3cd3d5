"""Label maps with one voxel per disc: NIfTI volumes in which the voxel at the tip of a disc holds its number.

Points are never resampled as voxels: a map is read into world mm by its own affine, and drawn again on the target grid.
Stored values may have rounding errors of scaling, such as 3.0000457 for 3 (Spine Generic, issue 95).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle import __version__
from bundle.io.input_checks import BadInputError, check_geometry
from bundle.io.length_units import nifti_affine
from bundle.io.volume_files import NIFTI, stem_of
from bundle.utils.atomic_write import atomic_write
from bundle.utils.lengths import is_above
from bundle.utils.write_json import write_json

from .disc_errors import DiscFileError, DiscPlacementError
from .disc_points import SAME_DISC, Disc, point_of
from .levels import (
    NUMBERINGS,
    OTHER_LANDMARKS,
    Numbering,
    check_numbering,
    disc_number,
    disc_numbers,
    disc_value,
    level_name,
    level_order,
)

logger = logging.getLogger(__name__)

ROUNDING = 0.1
"""Largest difference of a stored value to an integer; a larger one shows that the map was interpolated."""

LARGEST_POINT = 1000.0
"""Largest volume in mm^3 of a point; more voxels of a value are a mask, as the smallest cervical discs are larger."""


NUMBERING_KEY = "Numbering"
"""Key of the numbering in a sidecar."""


def read_label_map(path: str | Path, *, numbering: Numbering | None = None) -> list[Disc]:
    """Read the points of a label map.

    Values that are not discs are skipped and logged. A value in several voxels gives their centroid, with a warning.

    Args:
        path: NIfTI file.
        numbering: one of :data:`.levels.NUMBERINGS`; None for that of the sidecar, see :func:`write_sidecar`, or
            ``"sct"`` if it states none.

    Returns:
        Discs sorted by number, in world mm by the label map's own affine.

    Raises:
        DiscFileError: when the file cannot be read, is not a volume, has no clear place in the world, holds fractions,
            NaN or masks instead of points, or values of which none is a disc, or when its sidecar has an unknown
            numbering.
        ValueError: when the numbering is unknown.
    """
    numbering = numbering_of(path) if numbering is None else numbering
    check_numbering(numbering)
    voxels, affine = _load(path)
    flat = voxels.ravel(order="F")
    labeled = np.flatnonzero(flat != 0)
    places = np.stack(np.unravel_index(labeled, voxels.shape, order="F"), axis=1)
    stored = flat[labeled].astype(np.float64)
    values = _integers(path, stored)
    places, values = places[values != 0], values[values != 0]
    numbers = disc_numbers([int(value) for value in np.unique(values)], numbering)
    if numbers and set(numbers.values()) == {None}:
        raise _without_disc(path, list(numbers), numbering)
    _log_others(path, [value for value, number in numbers.items() if number is None])
    found = {number: places[values == value] for value, number in numbers.items() if number is not None}
    return [Disc(number, _point(path, found[number], number, affine)) for number in sorted(found, key=level_order)]


def draw_label_map(
    discs: Iterable[Disc], shape: Sequence[int], affine: np.ndarray, *, numbering: Numbering = "sct"
) -> np.ndarray:
    """Draw discs on a grid: each sets its nearest voxel; up to one voxel outside the grid, that of the border.

    Args:
        discs: one per number.
        shape: size of the grid.
        affine: from its voxels to world mm.
        numbering: one of :data:`.levels.NUMBERINGS`.

    Returns:
        uint8 array of that shape.

    Raises:
        DiscPlacementError: when a disc lies further outside, or two discs share a voxel.
        ValueError: when the numbering is unknown or has no value for a disc.
    """
    check_numbering(numbering)
    labels = np.zeros(tuple(shape), dtype=np.uint8)
    drawn: dict[tuple[int, ...], Disc] = {}
    for disc in discs:
        voxel = _voxel_on(disc, labels.shape, affine)
        if voxel in drawn:
            raise DiscPlacementError(
                f"{drawn[voxel].name} and {disc.name} share the voxel {list(voxel)}: one of them is wrong, "
                "or the grid is too coarse."
            )
        value = disc_value(disc.value, numbering)
        if value is None:
            raise ValueError(f"the numbering {numbering} has no value for {level_name(disc.value)} ({disc.value}).")
        drawn[voxel], labels[voxel] = disc, value
    return labels


def nearest_voxel(disc: Disc, affine: np.ndarray) -> tuple[int, ...]:
    """Return the indices of the voxel nearest to a disc, which may be outside the grid.

    Examples:
        >>> nearest_voxel(Disc(3, (1.0, 2.2, 2.9)), np.eye(4))
        (1, 2, 3)
    """
    return tuple(int(i) for i in np.rint(world_to_voxel(disc.position, affine)))


def world_to_voxel(position: Sequence[float], affine: np.ndarray) -> np.ndarray:
    """Return the indices ``(3,)`` of a position in mm, with fractions."""
    return np.asarray(np.linalg.solve(np.asarray(affine, dtype=np.float64), [*position, 1.0])[:3])


def write_label_map(
    discs: Iterable[Disc], target: str | Path, image: str | Path, *, numbering: Numbering = "sct"
) -> np.ndarray:
    """Write discs as a uint8 label map with the shape, affine, orientation and codes of a NIfTI image.

    A numbering other than ``"sct"`` is recorded in the sidecar, which is written too.

    Args:
        discs: one per number.
        target: ``.nii.gz`` or ``.nii`` file to write.
        image: NIfTI file that gives the grid.
        numbering: one of :data:`.levels.NUMBERINGS`.

    Returns:
        The label map.

    Raises:
        DiscFileError: when the image cannot be read or has no clear place in the world, or the name of the sidecar is
            taken by another file.
        DiscPlacementError: when a disc has no voxel of its own on the grid.
        ValueError: when the target has another ending, or the numbering is unknown or has no value for a disc.
    """
    target = Path(target)
    if not target.name.lower().endswith(NIFTI):
        raise ValueError(f"label maps are written as .nii.gz or .nii, got {target.name!r}.")
    reference = open_grid(image)
    labels = draw_label_map(discs, reference.shape[:3], nifti_affine(reference), numbering=numbering)
    header = reference.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    if numbering != numbering_of(target):
        write_sidecar(target, numbering=numbering)
    with atomic_write(target) as file:
        nib.save(type(reference)(labels, None, header), file)
    return labels


def write_sidecar(
    label_map: str | Path, *, numbering: Numbering = "sct", generated_by: Sequence[Mapping[str, str]] = ()
) -> Path:
    """Write the JSON sidecar that BIDS requires for a derived label map in the space of its image.

    It records the numbering as ``"Numbering"``, by which :func:`read_label_map` reads the map.

    Args:
        label_map: ``.nii.gz`` or ``.nii`` file; the sidecar has its name with the ending ``.json``.
        numbering: numbering of the label map.
        generated_by: programs that were used before this one, as ``{"Name": ..., "Version": ...}``.

    Returns:
        Path of the sidecar.

    Raises:
        DiscFileError: when a JSON file of that name is not a sidecar.
    """
    sidecar = check_sidecar(label_map)
    programs = [*map(dict, generated_by), {"Name": "keyslice", "Version": __version__}]
    write_json(sidecar, {"SpatialReference": "orig", NUMBERING_KEY: numbering, "GeneratedBy": programs})
    return sidecar


def check_sidecar(label_map: str | Path) -> Path:
    """Return the path of the sidecar of a label map, at which no other file may be.

    Raises:
        DiscFileError: when a JSON file of that name is not a sidecar.
    """
    sidecar = sidecar_of(label_map)
    if sidecar.exists() and not has_sidecar(label_map):
        raise DiscFileError(sidecar, "is not a sidecar and is kept", "write the label map under another name")
    return sidecar


def has_sidecar(label_map: str | Path) -> bool:
    """Return whether a label map has a sidecar; another JSON file of its name is none."""
    return bool({"SpatialReference", NUMBERING_KEY} & set(_content(sidecar_of(label_map))))


def sidecar_of(label_map: str | Path) -> Path:
    """Return the path of the sidecar of a label map."""
    return Path(label_map).with_name(f"{stem_of(label_map)}.json")


def _content(sidecar: Path) -> dict[str, Any]:
    """Return the content of a sidecar; nothing if there is none, or another file has its name."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def numbering_of(label_map: str | Path) -> Numbering:
    """Return the numbering that the sidecar of a label map states, or else that of the Spinal Cord Toolbox."""
    sidecar = sidecar_of(label_map)
    numbering: Numbering = _content(sidecar).get(NUMBERING_KEY, "sct")
    if numbering not in NUMBERINGS:
        raise DiscFileError(sidecar, f"has the numbering {numbering!r}", f"use one of {', '.join(NUMBERINGS)}")
    return numbering


def _without_disc(path: str | Path, values: Sequence[int], numbering: Numbering) -> DiscFileError:
    """Return the error about a label map in which no value is a disc."""
    shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
    fitting = [other for other in NUMBERINGS if any(disc_number(value, other) is not None for value in values)]
    remedy = (
        f'if they are numbers of {fitting[0]}, write {{"{NUMBERING_KEY}": "{fitting[0]}"}} to '
        f"{sidecar_of(path).name} in the same folder"
        if fitting
        else "use a map with one voxel per disc"
    )
    return DiscFileError(
        path, f"holds the values {shown}, none of which is a disc in the numbering {numbering}", remedy
    )


def is_on_grid(disc: Disc, shape: Sequence[int], affine: np.ndarray) -> bool:
    """Return whether the nearest voxel of a disc is on a grid, or at most one voxel outside."""
    return all(-1 <= index <= size for index, size in zip(nearest_voxel(disc, affine), shape, strict=True))


def _voxel_on(disc: Disc, shape: Sequence[int], affine: np.ndarray) -> tuple[int, ...]:
    voxel = nearest_voxel(disc, affine)
    inside = tuple(min(max(index, 0), size - 1) for index, size in zip(voxel, shape, strict=True))
    if not is_on_grid(disc, shape, affine):
        raise DiscPlacementError(
            f"{disc.name} at {[round(x, 1) for x in disc.position]} mm (R, A, S) is outside the grid: its voxel "
            f"would be {list(voxel)}, the grid has the shape {list(shape)}. Check that points and image match."
        )
    return inside


def _open(path: str | Path) -> Any:
    try:
        image: Any = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise DiscFileError(path, "is not a single-file NIfTI", "convert it to .nii.gz")
    except DiscFileError:
        raise
    except Exception as error:
        raise DiscFileError(path, f"cannot be read as NIfTI ({error})", "check the path, or export it again") from error
    return image


def open_grid(path: str | Path) -> Any:
    """Open a NIfTI file that has the grid of a volume, with one or several values per voxel.

    Raises:
        DiscFileError: when it cannot be read, is not a volume or has no clear place in the world.
    """
    image = _open(path)
    if len(image.shape) < 3:
        raise DiscFileError(path, f"has the shape {image.shape}, a volume is expected", "name the image of the discs")
    _check_place(path, image)
    return image


def _check_place(path: str | Path, image: Any) -> None:
    """Check that a volume has one place in the world, on an orthogonal grid."""
    try:
        check_geometry(path, image.header, image.shape[:3])
    except BadInputError as error:
        raise DiscFileError(path, error.problem, error.remedy) from error


def _load(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels ``(I, J, K)`` of a label map and its affine in mm."""
    image = _open(path)
    shape = image.shape
    if len(shape) < 3 or set(shape[3:]) - {1}:
        raise DiscFileError(path, f"has the shape {shape}, a volume is expected", "save the label map as one volume")
    if not (int(image.header["sform_code"]) or int(image.header["qform_code"])):
        raise DiscFileError(
            path, "has neither sform nor qform, so its position is unknown", "copy the geometry of its image into it"
        )
    _check_place(path, image)
    try:
        voxels = np.asanyarray(image.dataobj).reshape(shape[:3])
    except Exception as error:
        raise DiscFileError(path, f"has voxels that cannot be read ({error})", "copy or export it again") from error
    return voxels, nifti_affine(image)


def _integers(path: str | Path, stored: np.ndarray) -> np.ndarray:
    """Return the values of the labeled voxels, rounded."""
    values = np.rint(stored)
    off = ~np.isclose(stored, values, rtol=0, atol=ROUNDING) | ~np.isfinite(stored)
    if off.any():
        raise DiscFileError(
            path,
            f"has {int(off.sum())} voxels with values that are not integers, such as {stored[off][0]:.4g}",
            "use the map from before it was interpolated",
        )
    return values


def _log_others(path: str | Path, values: Sequence[int]) -> None:
    if values:
        shown = [f"{value} ({OTHER_LANDMARKS.get(value, 'unknown')})" for value in values[:8]]
        shown += ["..."] if len(values) > 8 else []
        logger.info("%s: skipped the values that are not discs: %s.", path, ", ".join(shown))


def _point(path: str | Path, places: np.ndarray, number: int, affine: np.ndarray) -> tuple[float, float, float]:
    """Return the centroid of voxels ``(n, 3)`` in world mm."""
    if len(places) > 1:
        volume = len(places) * abs(float(np.linalg.det(affine[:3, :3])))
        if is_above(volume, LARGEST_POINT):
            raise DiscFileError(
                path,
                f"holds the value of disc {number} in {len(places)} voxels, which is a mask, not a point",
                "derive points from masks with bundle.tasks.spine.discs.discs_from_disc_mask",
            )
        _check_one_place(path, places, number, affine)
        apart = np.linalg.norm((np.ptp(places, axis=0)) * np.linalg.norm(affine[:3, :3], axis=0))
        logger.warning(
            "%s: disc %d is in %d voxels over %.1f mm; their mean is taken.", path, number, len(places), apart
        )
    return point_of(affine[:3, :3] @ places.mean(axis=0) + affine[:3, 3])


def _check_one_place(path: str | Path, places: np.ndarray, number: int, affine: np.ndarray) -> None:
    """Check that voxels ``(n, 3)`` of a value are one point, or several near each other."""
    from scipy import ndimage  # keyslice-run writes label maps without SciPy

    box = np.zeros(np.ptp(places, axis=0) + 1, dtype=bool)
    box[tuple((places - places.min(axis=0)).T)] = True
    components, count = ndimage.label(box, structure=np.ones((3, 3, 3)))
    centers = np.array(ndimage.center_of_mass(box, components, range(1, count + 1))) @ affine[:3, :3].T
    apart = float(np.linalg.norm(centers[:, None] - centers[None], axis=-1).max())
    if is_above(apart, SAME_DISC):
        problem = f"holds the value of disc {number} at {count} places up to {apart:.1f} mm apart"
        raise DiscFileError(path, problem, "remove the wrong voxels, or correct their value")
