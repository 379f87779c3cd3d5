"""The mid-sagittal plane of an image: the plane about which the volume is most symmetric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from bundle.utils.lengths import is_at_least, is_at_most, rounded

CELL = 6.0
"""Size in mm of the cells that slices are averaged to before they are compared."""

REACH = (2.0, 48.0)
"""Smallest and largest distance in mm between two slices that are compared."""

CENTERING = 0.05
"""Penalty of the score at 10 mm from the center of the volume; it grows with the square of the distance."""


def find_midline(volume: torch.Tensor, spacing: Sequence[float]) -> float:
    """Return the position of the mid-sagittal plane along the first axis of a volume, in steps of half a slice.

    Two slices at equal distances left and right of the plane are similar, so their correlation is large compared with
    that of all pairs of slices at the same distance. By this comparison, near and far pairs have the same weight, and
    so have planes with many and few pairs; the sum over distances is divided by the square root of their number. As the
    spine is in the middle of most scans, the distance to the center is penalized.

    Args:
        volume: image ``(R, A, S)``.
        spacing: voxel size in mm along the three axes.

    Returns:
        The position; the center of the volume if there are too few slices.

    Examples:
        >>> half = torch.rand(6, 30, 30, generator=torch.Generator().manual_seed(0))
        >>> find_midline(torch.cat([half, half.flip(0)]), (4.0, 2.0, 2.0))
        5.5
    """
    count = volume.shape[0]
    places = np.arange(2 * count - 1) / 2
    correlation = _correlation(volume, spacing)
    total, pairs = np.zeros(len(places)), np.zeros(len(places))
    for gap in range(1, count - 2):
        if is_at_least(gap * spacing[0], REACH[0]) and is_at_most(gap * spacing[0], REACH[1]):
            profile = np.diagonal(correlation, gap)
            total[gap : 2 * count - gap : 2] += profile - profile.mean()
            pairs[gap : 2 * count - gap : 2] += 1
    if not pairs.any():
        return (count - 1) / 2
    off_center = (places - (count - 1) / 2) * spacing[0] / 10
    score = total / np.sqrt(np.maximum(pairs, 1)) - CENTERING * off_center**2
    return float(places[np.where(pairs > 0, score, -np.inf).argmax()])


def _correlation(volume: torch.Tensor, spacing: Sequence[float]) -> np.ndarray:
    """Return the correlations of all pairs of slices, averaged to cells."""
    rows, columns = (max(1, rounded(volume.shape[axis] * spacing[axis] / CELL)) for axis in (1, 2))
    cells = adaptive_avg_pool2d(volume[:, None].float(), (rows, columns)).flatten(1).double()
    cells = cells - cells.mean(1, keepdim=True)
    cells = cells / cells.norm(dim=1, keepdim=True).clamp_min(1e-9)
    return (cells @ cells.T).cpu().numpy()
