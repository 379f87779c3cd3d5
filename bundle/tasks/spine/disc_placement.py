"""Checks of images with discs: voxel size, and that the discs lie in the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bundle.io.input_checks import GridMismatchError
from bundle.utils.lengths import is_above, is_below

from .discs.disc_points import Disc
from .slab_geometry import world_to_voxels

SPACING_RANGE = (0.2, 10.0)
"""Smallest and largest voxel size in mm of an image that is listed for a training, as in its config."""


def discs_outside(discs: Sequence[Disc], shape: Sequence[int], affine: np.ndarray) -> list[Disc]:
    """Return the discs that lie more than a voxel outside of a grid.

    Args:
        discs: the discs.
        shape: size of the grid.
        affine: from its voxels to world mm.

    Examples:
        >>> discs = [Disc(3, (1.0, 2.0, 3.0)), Disc(4, (1.0, 2.0, -30.0))]
        >>> [disc.name for disc in discs_outside(discs, (4, 5, 6), np.eye(4))]
        ['C3-C4']
    """
    places = np.array([disc.position for disc in discs]).reshape(-1, 3)
    voxels = world_to_voxels(places, affine)
    outside = np.any(is_below(voxels, -1) | is_above(voxels, np.array(shape)), axis=1)
    return [disc for disc, is_outside in zip(discs, outside, strict=True) if is_outside]


def check_discs_in_image(
    file: str | Path, discs: Sequence[Disc], image: str | Path, shape: Sequence[int], affine: np.ndarray
) -> None:
    """Check that the discs of a file lie in their image.

    Args:
        file: file of the discs.
        discs: the discs.
        image: file of the image.
        shape: size of the image.
        affine: from its voxels to world mm.

    Raises:
        GridMismatchError: with the discs that lie more than a voxel outside.
    """
    outside = discs_outside(discs, shape, affine)
    if outside:
        names = ", ".join(disc.name for disc in outside)
        raise GridMismatchError(
            file, f"{names} lie outside of the image {image}", "check that both are of the same scan and in mm"
        )
