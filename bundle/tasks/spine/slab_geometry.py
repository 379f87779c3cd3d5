"""Pixels of sagittal slabs and world coordinates in mm.

The affine of a slab is that of a volume ``(R, A, S)`` of one slice: its pixels are places along A and S.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bundle.utils.lengths import is_at_least, is_at_most

if TYPE_CHECKING:
    import torch


def voxel_size(affine: np.ndarray | torch.Tensor) -> np.ndarray:
    """Return the lengths ``(3,)`` of the axes of an affine in mm."""
    return np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)


def world_to_voxels(points: np.ndarray, affine: np.ndarray | torch.Tensor) -> np.ndarray:
    """Return the voxel indices ``(n, 3)``, with fractions, of points ``(n, 3)`` in world mm."""
    matrix = np.asarray(affine, dtype=float)
    return (points - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T


def pixels_to_world(pixels: np.ndarray, affine: np.ndarray, lateral: float) -> np.ndarray:
    """Return R, A and S in mm ``(k, 3)`` of pixels ``(k, 2)`` at an index along the first axis of the affine."""
    indices = np.column_stack([np.full(len(pixels), lateral), pixels])
    return indices @ affine[:3, :3].T + affine[:3, 3]


def is_in_image(pixels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return which pixels ``(n, 2)`` are in an image; those of NaN are not."""
    return np.all(is_at_least(pixels, -0.5) & is_at_most(pixels, np.array(shape) - 0.5), axis=1)
