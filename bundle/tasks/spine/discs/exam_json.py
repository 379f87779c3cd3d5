"""JSON beside the spine exams of the sample data: disc centers as voxels and world mm, some with posterior voxels.

The arrays of these exams run down, to the back and over the sagittal slices to the right, and the files hold no affine:
a posterior voxel gets its world position from its distance to the center in voxels and the voxel size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .disc_errors import DiscFileError
from .disc_points import Disc, point_of

KEYS = {"value", "voxel", "world_mm"}
"""What every disc has."""


def is_exam(content: Mapping[str, Any]) -> bool:
    """Tell whether the content of a JSON file is of this kind."""
    discs = content.get("discs")
    return "spacing_mm" in content and isinstance(discs, list) and all(_is_entry(disc) for disc in discs)


def read_exam(content: Mapping[str, Any], path: str | Path, point: str) -> list[Disc]:
    """Return the discs of a file.

    Args:
        content: what is in the file.
        path: the file, for messages.
        point: ``"posterior"`` or ``"center"``.

    Raises:
        DiscFileError: when a disc has no posterior voxel and one is asked for, its entry is no disc, or voxels and
            world do not go together.
    """
    try:
        axes = _axes(content["spacing_mm"])
        pairs = [(np.array(disc["voxel"], float), np.array(disc["world_mm"], float)) for disc in content["discs"]]
        starts = [world - axes @ voxel for voxel, world in pairs]
        if starts and not np.allclose(starts, starts[0], atol=0.5):
            raise ValueError("voxels and world positions do not go together")
        centers = [world for _, world in pairs]
        return [_disc(disc, center, axes, path, point) for disc, center in zip(content["discs"], centers, strict=True)]
    except DiscFileError:
        raise
    except (TypeError, ValueError) as error:
        raise DiscFileError(
            path, f"holds discs that cannot be used ({str(error).rstrip('.')})", "correct it"
        ) from error


def _is_entry(disc: Any) -> bool:
    return isinstance(disc, dict) and disc.keys() >= KEYS


def _axes(spacing: Any) -> np.ndarray:
    """Return the matrix from voxels to world mm of an array that runs down, to the back and to the right."""
    down, back, right = (float(size) for size in spacing)
    return np.array([[0.0, 0.0, right], [0.0, -back, 0.0], [-down, 0.0, 0.0]])


def _disc(disc: Mapping[str, Any], center: np.ndarray, axes: np.ndarray, path: str | Path, point: str) -> Disc:
    if point == "center":
        return Disc(disc["value"], point_of(center))
    if "posterior_voxel" not in disc:
        raise DiscFileError(
            path,
            f"has no posterior voxel for disc {disc['value']}, only its center",
            'read it with point="center", or derive tips from the masks: python -m bundle prepare spine-exams',
        )
    steps = np.array(disc["posterior_voxel"], float) - np.array(disc["voxel"], float)
    return Disc(disc["value"], point_of(center + axes @ steps))
