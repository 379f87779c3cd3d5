"""Where the voxels of one grid lie on the axes of another: flips, permutations, voxel sizes, crops and pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SNAP = 1e-5
"""Positions this near to a voxel, in voxels, are taken to lie on it."""


MISALIGNED = 1e-3
"""Axes count as aligned when their ends are off by less than this many voxels."""


class AlignedAxes(NamedTuple):
    """A grid whose axes run along those of another one.

    Attributes:
        columns: its axis that runs along each axis of the other grid.
        positions: where its voxels lie on each axis of the other grid, in voxels.
    """

    columns: list[int]
    positions: list[np.ndarray]


def aligned_axes(matrix: np.ndarray, size: Sequence[int]) -> AlignedAxes | None:
    """Return where the voxels of a grid lie on the axes of another one; None if the axes are oblique.

    Args:
        matrix: affine from its voxels to those of the other grid.
        size: its size.
    """
    dims = len(size)
    order = [int(row) for row in np.abs(matrix[:dims, :dims]).argmax(0)]
    rest = np.abs(matrix[:dims, :dims]) * (np.array(size) - 1)
    rest[order, range(dims)] = 0
    if sorted(order) != list(range(dims)) or rest.max() > MISALIGNED:
        return None
    columns = [order.index(row) for row in range(dims)]
    steps = [np.arange(size[column], dtype=np.float64) for column in columns]
    positions = [
        step * matrix[row, column] + matrix[row, dims]
        for row, (column, step) in enumerate(zip(columns, steps, strict=True))
    ]
    return AlignedAxes(columns, positions)


class AxisPlaces(NamedTuple):
    """Where a run of positions lies on an axis.

    Attributes:
        first: number of the first position on the axis; those a whole voxel or more beyond an end are not on it.
        low: voxel at or before every position; positions beyond an end take that of the border.
        share: share of the way to the next voxel, float32.
        blends: whether some position lies between voxels.
    """

    first: int
    low: np.ndarray
    share: np.ndarray
    blends: bool


def axis_places(positions: np.ndarray, count: int) -> AxisPlaces:
    """Return where positions, rising or falling, lie on an axis of ``count`` voxels.

    Examples:
        >>> places = axis_places(np.array([-1.0, -0.5, 0.5, 1.0]), 2)
        >>> places.first, places.low.tolist(), places.share.tolist()
        (1, [0, 0, 0], [0.0, 0.5, 1.0])
    """
    near = positions.round()
    positions = np.where(np.abs(positions - near) < SNAP, near, positions)
    inside = np.flatnonzero((positions > -1) & (positions < count))
    clamped = positions[inside].clip(0, count - 1)
    low = np.floor(clamped).astype(np.int64)
    blends = bool((clamped != low).any())
    if blends:
        low = np.minimum(low, count - 2)
    return AxisPlaces(int(inside[0]) if len(inside) else 0, low, (clamped - low).astype(np.float32), blends)
