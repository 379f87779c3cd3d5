"""The plane of symmetry of slices that are averaged to cells, see :func:`bundle.tasks.spine.midline.find_midline`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.utils.lengths import is_at_least, is_at_most, rounded

CELL = 6.0
"""Size in mm of the cells that slices are averaged to before they are compared."""

REACH = (2.0, 48.0)
"""Smallest and largest distance in mm between two slices that are compared."""

CENTERING = 0.05
"""Penalty of the score at 10 mm from the center of the volume; it grows with the square of the distance."""


def cell_counts(size: Sequence[int], spacing: Sequence[float]) -> tuple[int, int]:
    """Return the number of cells along A and S of slices of a size, where ``spacing`` is that of all three axes."""
    rows, columns = (max(1, rounded(count * step / CELL)) for count, step in zip(size, spacing[1:], strict=True))
    return rows, columns


def plane_of_symmetry(cells: np.ndarray, spacing: float) -> float:
    """Return the position of the plane in steps of half a slice; the center if there are too few slices.

    Args:
        cells: means of the cells of every slice, ``(R, n)``, float64.
        spacing: distance of the slices in mm.
    """
    count = len(cells)
    places = np.arange(2 * count - 1) / 2
    correlation = _correlation(cells)
    total, pairs = np.zeros(len(places)), np.zeros(len(places))
    for gap in range(1, count - 2):
        if is_at_least(gap * spacing, REACH[0]) and is_at_most(gap * spacing, REACH[1]):
            profile = np.diagonal(correlation, gap)
            total[gap : 2 * count - gap : 2] += profile - profile.mean()
            pairs[gap : 2 * count - gap : 2] += 1
    if not pairs.any():
        return (count - 1) / 2
    off_center = (places - (count - 1) / 2) * spacing / 10
    score = total / np.sqrt(np.maximum(pairs, 1)) - CENTERING * off_center**2
    return float(places[np.where(pairs > 0, score, -np.inf).argmax()])


def _correlation(cells: np.ndarray) -> np.ndarray:
    """Return the correlations of all pairs of slices."""
    cells = cells - cells.mean(1, keepdims=True)
    cells = cells / np.linalg.norm(cells, axis=1, keepdims=True).clip(min=1e-9)
    return cells @ cells.T
