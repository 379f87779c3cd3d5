"""Points of discs from masks of discs or of vertebrae.

Structures are measured in their mid-sagittal band: the slices next to the middle of the mask along the left-right axis
of its affine. In this band, a vertebra may show its body and its spinous process; the body is the most anterior large
component. Voxels of the band count as if they were in its middle plane, which may be oblique, and directions in it are
those of A and S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import nibabel as nib
import numpy as np
from scipy import ndimage

from bundle.utils.lengths import is_at_least, is_at_most

from .disc_points import Disc, DiscPoint, check_point, point_of
from .levels import LAST_LEVEL, LEVEL_NAMES, VARIANT_NAMES, level_order, levels_with

BAND = 2.5
"""Half the width of the mid-sagittal band in mm; for thicker slices, the band is the slice next to the middle."""

EDGE = 1.5
"""Distance in mm to the extreme voxel up to which voxels are averaged to a corner or a tip."""

LARGE = 0.3
"""Minimum size of a component of a mask, relative to its largest component."""

TYPICAL_GAP = 6.0
"""Distance in mm between the posterior corners of two lumbar vertebrae, for an exam with a single vertebra."""


@dataclass(frozen=True, eq=False)
class _Section:
    """A structure in its mid-sagittal band: its voxels ``(n, 3)``, moved to the middle plane, as R, A, S in mm."""

    places: np.ndarray

    @property
    def centroid(self) -> np.ndarray:
        return np.asarray(self.places.mean(axis=0))

    def end(self, direction: np.ndarray) -> np.ndarray:
        """Return the mean ``(3,)`` of the most distant voxels along a direction ``(A, S)``."""
        along = self.places[:, 1:] @ (direction / np.linalg.norm(direction))
        return np.asarray(self.places[is_at_most(along.max() - along, EDGE)].mean(axis=0))


def discs_from_disc_mask(mask: np.ndarray, affine: np.ndarray, *, point: DiscPoint = "posterior") -> list[Disc]:
    """Return the discs of a mask in which every disc has its number.

    The posterior tip is the posterior end of the disc along its long axis in the sagittal plane.

    Args:
        mask: integer mask ``(I, J, K)``, in any orientation.
        affine: from its voxels to world mm, RAS+.
        point: ``"posterior"`` for the posterior tip, ``"center"`` for the centroid.

    Returns:
        Discs sorted by number.

    Raises:
        ValueError: when a value is not that of a disc, the mask is not a volume of integers, or the point is unknown.
    """
    sections = _sections(mask, affine, point)
    discs = []
    for value, section in sections.items():
        place = section.centroid if point == "center" else section.end(_backward_axis(section))
        discs.append(Disc(value, point_of(place)))
    return discs


def discs_from_vertebra_masks(mask: np.ndarray, affine: np.ndarray, *, point: DiscPoint = "posterior") -> list[Disc]:
    """Return the discs between neighbors in a mask in which every vertebra has its number (C1 1, T1 8, L1 20, S1 25).

    A vertebra next to T13 or L6 has that of the disc above it (:data:`.levels.VARIANT_NAMES`): L6 245, its S1 255.

    The posterior tip is the midpoint between the posterior-inferior corner of the upper body and the posterior-superior
    corner of the lower one; the center is the mean of these and the anterior corners. Discs above C2-C3 are not
    derived, as C1 has no body.

    Args:
        mask: integer mask ``(I, J, K)``, in any orientation.
        affine: from its voxels to world mm, RAS+.
        point: ``"posterior"`` or ``"center"``.

    Returns:
        Discs sorted by number.

    Raises:
        ValueError: when a value is not that of a vertebra, the mask is not a volume of integers, or the point is
            unknown.
    """
    sections = _sections(mask, affine, point)
    discs = []
    for above, value in _neighbors(sections):
        upper, lower = sections[above], sections[value]
        corners = _gap(upper, lower)
        place = corners[:2].mean(axis=0) if point == "posterior" else corners.mean(axis=0)
        discs.append(Disc(value, point_of(place)))
    return discs


def disc_below(mask: np.ndarray, affine: np.ndarray, *, point: DiscPoint = "posterior") -> Disc | None:
    """Extrapolate the disc below the lowest vertebra of a mask, such as L5-S1 where L5 is the last one with a mask.

    Half the median gap of the other discs of the exam is added to the lower corners, along the normal of the end plate.
    Extrapolated discs may help to train a network, but must not be scored.

    Args:
        mask: integer mask ``(I, J, K)`` with the numbers of the vertebrae.
        affine: from its voxels to world mm, RAS+.
        point: ``"posterior"`` or ``"center"``.

    Returns:
        The disc; None when the mask is empty or its lowest vertebra is S1 or above C2.

    Raises:
        ValueError: as :func:`discs_from_vertebra_masks` does.
    """
    sections = _sections(mask, affine, point)
    value = max(sections, key=level_order, default=0)
    if not 2 <= level_order(value) < LAST_LEVEL:
        return None
    body, pairs = sections[value], _neighbors(sections)
    above = next((upper for upper, lower in _neighbors(sections, first=2) if lower == value), None)
    gaps = [_gap(sections[upper], sections[lower]) for upper, lower in pairs]
    height = float(np.median([np.linalg.norm((gap[0] - gap[1])[1:]) for gap in gaps])) if gaps else TYPICAL_GAP
    down = np.array([0.0, -1.0]) if above is None else (body.centroid - sections[above].centroid)[1:]
    down = down / np.linalg.norm(down)
    posterior, anterior = body.end(down + _backward(down)), body.end(down - _backward(down))
    plate = (posterior - anterior)[1:] / np.linalg.norm((posterior - anterior)[1:])
    normal = np.array([plate[1], -plate[0]])
    normal = normal if normal @ down > 0 else -normal
    start = posterior if point == "posterior" else (posterior + anterior) / 2
    sequence = _sequence(sections)
    return Disc(sequence[sequence.index(value) + 1], point_of(start + np.array([0.0, *normal]) * height / 2))


def _sequence(sections: Mapping[int, _Section]) -> tuple[int, ...]:
    """Return the numbers of the vertebrae of the spine from head to foot."""
    has_t13, has_l6 = sections.keys() & {195, 205}, sections.keys() & {245, 255}
    return levels_with(thoracic=13 if has_t13 else 12, lumbar=6 if has_l6 else 5)


def _neighbors(sections: Mapping[int, _Section], first: int = 3) -> list[tuple[int, int]]:
    """Return the numbers of neighboring vertebrae of which the lower one is ``first``, such as C3, or further down."""
    pairs = pairwise(_sequence(sections))
    return [pair for pair in pairs if pair[1] >= first and sections.keys() >= set(pair)]


def _gap(upper: _Section, lower: _Section) -> np.ndarray:
    """Return the corners ``(4, 3)`` of a disc: posterior upper and lower, anterior upper and lower."""
    down = (lower.centroid - upper.centroid)[1:]
    down = down / np.linalg.norm(down)
    back = _backward(down)
    return np.array([upper.end(down + back), lower.end(back - down), upper.end(down - back), lower.end(-down - back)])


def _backward(down: np.ndarray) -> np.ndarray:
    """Return the unit vector at a right angle to a direction ``(A, S)`` that points to posterior."""
    across = np.array([down[1], -down[0]])
    return across if across[0] < 0 else -across


def _backward_axis(section: _Section) -> np.ndarray:
    """Return the direction of greatest extent of a disc, towards posterior."""
    _, _, axes = np.linalg.svd((section.places - section.centroid)[:, 1:], full_matrices=False)
    return axes[0] if axes[0][0] < 0 else -axes[0]


def _sections(mask: np.ndarray, affine: np.ndarray, point: str) -> dict[int, _Section]:
    """Return the sections of all structures of a mask by number, in increasing order."""
    check_point(point)
    mask = np.asarray(mask)
    if mask.ndim != 3 or mask.dtype.kind not in "iu":
        raise ValueError(f"the mask must be a volume of integers, got {mask.dtype} of shape {mask.shape}.")
    boxes = ndimage.find_objects(mask.astype(np.int32, copy=False))
    values = [value for value, box in enumerate(boxes, start=1) if box is not None]
    unknown = sorted(set(values) - set(LEVEL_NAMES) - set(VARIANT_NAMES))
    if unknown:
        raise ValueError(f"the mask holds the values {unknown}; vertebrae and discs have the values 1 to {LAST_LEVEL}.")
    affine = np.asarray(affine, dtype=np.float64)
    side = [code in "LR" for code in nib.aff2axcodes(affine)].index(True)
    values.sort(key=level_order)
    return {value: _section(mask, value, boxes[value - 1], affine, side) for value in values}


def _section(mask: np.ndarray, value: int, box: Sequence[slice], affine: np.ndarray, side: int) -> _Section:
    inside = mask[tuple(box)] == value
    offset = np.array([extent.start for extent in box], dtype=np.float64)
    middle = np.average(np.arange(inside.shape[side]), weights=np.moveaxis(inside, side, 0).sum(axis=(1, 2)))
    step = float(np.linalg.norm(affine[:3, side]))
    distance = np.abs(np.arange(inside.shape[side]) - middle) * step
    band = np.flatnonzero(is_at_most(distance, max(BAND, step / 2)))
    plane = offset[side] + middle
    return _Section(_most_anterior_component(np.take(inside, band, axis=side), offset, plane, affine, side))


def _most_anterior_component(
    band: np.ndarray, start: np.ndarray, middle: float, affine: np.ndarray, side: int
) -> np.ndarray:
    """Return the voxels of the most anterior large component of a band, in its middle plane, in world mm ``(n, 3)``."""
    components, _ = ndimage.label(band, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())[1:]
    large = []
    for component, size in enumerate(sizes, start=1):
        if is_at_least(size, LARGE * sizes.max()):
            voxels = np.argwhere(components == component) + start
            voxels[:, side] = middle
            large.append(voxels @ affine[:3, :3].T + affine[:3, 3])
    return max(large, key=lambda places: places[:, 1].mean())
