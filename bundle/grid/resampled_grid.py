"""The grid of a volume at another voxel size along its own axes, and where its voxels lie on the original one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.utils.lengths import is_below, rounded

SAME_GRID = 0.05
"""An axis whose last voxel would move by less than this many voxels is left as it is."""


@dataclass(frozen=True)
class ResampledGrid:
    """A grid that shares the first voxel and the axes of the original one.

    Attributes:
        size: voxels of every axis.
        scale: voxel size relative to the original one.
        affine: from its voxels to the world.
    """

    size: list[int]
    scale: np.ndarray
    affine: np.ndarray

    @property
    def sources(self) -> list[np.ndarray]:
        """Positions of its voxels along every axis, in original voxels."""
        return [positions(count, step) for count, step in zip(self.size, self.scale, strict=True)]


def resampled_grid(size: Sequence[int], affine: np.ndarray, pixdim: Sequence[float | None]) -> ResampledGrid:
    """Return the grid of a volume at another voxel size.

    Args:
        size: voxels of every axis.
        affine: from its voxels to the world in mm.
        pixdim: voxel size in mm; None keeps an axis.

    Examples:
        >>> resampled_grid((5, 5, 5), np.eye(4), [2.0, 1.0, None]).size
        [3, 5, 5]
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    scale = np.array([1.0 if new is None else new / old for new, old in zip(pixdim, spacing, strict=True)])
    scale[is_below(np.abs(scale - 1) * (np.array(size) - 1), SAME_GRID)] = 1.0
    new_size = [rounded((n - 1) / s) + 1 for n, s in zip(size, scale, strict=True)]
    return ResampledGrid(new_size, scale, affine @ np.diag([*scale, 1.0]))


def positions(count: int, step: float) -> np.ndarray:
    """Return the positions of ``count`` voxels that are ``step`` apart."""
    return np.arange(count, dtype=np.float64) * step


def block_sizes(scale: Sequence[float] | np.ndarray, size: Sequence[int]) -> list[int]:
    """Return how many voxels along every axis fit into a new one, for which they are averaged."""
    return [min(max(int(step + SAME_GRID), 1), n) for step, n in zip(scale, size, strict=True)]


def block_positions(sources: Sequence[np.ndarray], blocks: Sequence[int]) -> list[np.ndarray]:
    """Return positions in voxels as positions in blocks of them."""
    return [(source - (size - 1) / 2) / size for source, size in zip(sources, blocks, strict=True)]
