"""What a training is planned from: grid, content and structures of a volume, in the order of RAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import MetaTensor
from scipy.ndimage import find_objects, label

from bundle.grid.constant_border import content_box

MAX_SAMPLES = 100_000
"""Voxels that the percentiles inside of structures are taken from, at most."""

INSIDE = (0.5, 50, 99.5)
"""Percentiles of the intensities inside of structures."""


def describe_grid(image: MetaTensor) -> dict[str, Any]:
    """Return ``"ras"``: spacing in mm and size in voxels along R, A and S, without a constant border.

    Args:
        image: ``(C, D, H, W)``.
    """
    affine = np.asarray(image.affine)
    order = _axes(affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    sizes = [part.stop - part.start for part in content_box(image.as_tensor())]
    return {"ras": {"spacing": [round(float(spacing[axis]), 4) for axis in order], "size": [sizes[a] for a in order]}}


def describe_structures(images: Sequence[MetaTensor], values: np.ndarray, ignored: int) -> dict[str, Any]:
    """Return the structures of a label map and the intensities inside of all of them.

    Args:
        images: the channels, ``(C, D, H, W)`` or several of them, on one grid.
        values: label map ``(D, H, W)``.
        ignored: value of voxels that nobody labeled.

    Returns:
        ``"structures"`` by value: ``extent_mm`` along R, A and S, ``components``, their number, and ``smallest_mm3``;
        ``"inside"`` per channel: ``p0.5``, ``p50``, ``p99.5``, ``mean`` and ``sd``. Nothing without a structure.
    """
    whole = np.rint(values).astype(np.int32)
    whole[(whole == ignored) | (whole < 0)] = 0
    if not whole.any():
        return {}
    affine = np.asarray(images[0].affine)
    order, spacing = _axes(affine), np.linalg.norm(affine[:3, :3], axis=0)
    found = {}
    for value, box in enumerate(find_objects(whole), start=1):
        if box is not None:
            parts, count = label(whole[box] == value)
            smallest = int(np.bincount(parts.ravel())[1:].min())
            extent = [(part.stop - part.start) * size for part, size in zip(box, spacing, strict=True)]
            found[f"{value}"] = {
                "extent_mm": [round(float(extent[axis]), 2) for axis in order],
                "components": int(count),
                "smallest_mm3": round(smallest * float(np.prod(spacing)), 3),
            }
    inside = [channel[whole > 0] for image in images for channel in image.numpy()]
    return {"structures": found, "inside": [_statistics(voxels) for voxels in inside]}


def _statistics(voxels: np.ndarray) -> dict[str, float]:
    sample = voxels[:: max(voxels.size // MAX_SAMPLES, 1)]
    percentiles = {f"p{p:g}": float(value) for p, value in zip(INSIDE, np.percentile(sample, INSIDE), strict=True)}
    return {**percentiles, "mean": float(sample.mean(dtype=np.float64)), "sd": float(sample.std(dtype=np.float64))}


def _axes(affine: np.ndarray) -> list[int]:
    """Return the axes of the file along R, A and S."""
    orientation = nib.io_orientation(affine)[:, 0]
    return [int(np.flatnonzero(orientation == axis)[0]) for axis in range(3)]
