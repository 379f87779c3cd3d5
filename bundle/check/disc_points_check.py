"""Checks of the points of discs against each other and against their image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from monai.data import MetaTensor

from bundle.tasks.spine.disc_placement import discs_outside
from bundle.tasks.spine.discs.disc_points import Disc
from bundle.tasks.spine.discs.disc_reader import read_discs
from bundle.utils.lengths import is_at_least, is_at_most

from .findings import Reading
from .thumbnails import slice_thumbnail

DISTANCES = (5.0, 80.0)
"""Least and greatest distance of neighboring discs in mm; beyond them one of the two is wrong."""


def read_points(file: str, image: MetaTensor | None = None) -> list[Disc]:
    """Read the discs of a file.

    Args:
        file: the file.
        image: ``(1, D, H, W)``, where it could be read; voxels in a CSV must agree with it.

    Raises:
        DiscFileError: when it cannot be used.
    """
    return read_discs(file, affine=None if image is None else np.asarray(image.affine))


def check_points(reading: Reading, discs: list[Disc], image: MetaTensor | None) -> None:
    """Note faults of the discs of an item, and which there are.

    Args:
        reading: where to note them.
        discs: by increasing number.
        image: ``(1, D, H, W)``, where it could be read.
    """
    file = reading.item.label
    reading.facts["discs"] = [disc.value for disc in discs]
    if not discs:
        reading.fault("empty label", f"{file}: names no disc; label it, or leave it out.")
        return
    for upper, lower in pairwise(discs):
        distance = float(np.linalg.norm(np.subtract(upper.position, lower.position)))
        pair = f"{file}: {upper.name} and {lower.name}"
        if upper.position[2] <= lower.position[2]:
            reading.fault("disc order", f"{pair} are not below each other; check numbers and orientation.")
        elif lower.value == upper.value + 1 and not _is_usual(distance):
            reading.fault("disc distance", f"{pair} lie {distance:.1f} mm apart; check both points and their unit.")
    if image is not None:
        _check_place(reading, discs, image)


def _is_usual(distance: float) -> bool:
    return bool(is_at_least(distance, DISTANCES[0]) and is_at_most(distance, DISTANCES[1]))


def _check_place(reading: Reading, discs: list[Disc], image: MetaTensor) -> None:
    affine = np.asarray(image.affine, dtype=np.float64)
    places = np.array([[*disc.position, 1.0] for disc in discs])
    voxels = np.linalg.solve(affine, places.T).T[:, :3]
    outside = discs_outside(discs, image.shape[1:], affine)
    if outside:
        names = ", ".join(disc.name for disc in outside)
        reading.fault(
            "point outside", f"{reading.item.label}: {names} lie outside of the image {reading.item.images[0]}."
        )
    _draw(reading, image, affine, voxels)


def _draw(reading: Reading, image: MetaTensor, affine: np.ndarray, voxels: np.ndarray) -> None:
    """Draw the sagittal slice nearest to the points, front to the right and head up."""
    axes = [int(np.abs(affine[row, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax()) for row in range(3)]
    if sorted(axes) != [0, 1, 2]:
        return
    right, front, head = axes
    chosen = int(np.clip(round(float(voxels[:, right].mean())), 0, image.shape[1 + right] - 1))
    plane = image[0].numpy().transpose(right, front, head)[chosen]
    dots = voxels[:, [front, head]]
    for place, axis in enumerate((front, head)):
        if affine[1 + place, axis] < 0:
            plane, dots = np.flip(plane, place), dots.copy()
            dots[:, place] = plane.shape[place] - 1 - dots[:, place]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    reading.thumbnail = slice_thumbnail(
        np.ascontiguousarray(plane), (float(spacing[front]), float(spacing[head])), points=dots
    )
