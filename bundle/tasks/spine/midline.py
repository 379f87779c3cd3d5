"""Finding of the mid-sagittal plane from the image alone: the plane about which the volume mirrors best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

CELL = 6.0
"""Size in mm of the cells that slices are averaged to before they are compared."""

REACH = (2.0, 48.0)
"""Smallest and largest distance in mm of two slices that are compared."""

CENTERING = 0.05
"""What is taken off the score for a distance of 10 mm to the volume's center (of 20 mm: four times as much)."""


def find_midline(volume: torch.Tensor, spacing: Sequence[float]) -> float:
    """Return the place of the mid-sagittal plane along the first axis of a volume, in slices from 0 by halves.

    Two slices at equal distances left and right of the plane look alike, so their correlation is large among that of
    all pairs of slices with the same distance. That comparison makes near pairs and far pairs, and candidates with many
    pairs and few, count alike; distances are summed up with the square root of their number. The spine is in the middle
    of most scans, which decides where the image does not.

    Args:
        volume: image ``(R, A, S)``.
        spacing: voxel size in mm along the three axes.

    Returns:
        The place; the center of the volume where that is too thin to tell, or without any symmetry.
    """
    count = volume.shape[0]
    places = np.arange(2 * count - 1) / 2
    likeness = _likeness(volume, spacing)
    total, pairs = np.zeros(len(places)), np.zeros(len(places))
    for gap in range(1, count - 2):
        if REACH[0] <= gap * spacing[0] <= REACH[1]:
            profile = np.diagonal(likeness, gap)
            total[gap : 2 * count - gap : 2] += profile - profile.mean()
            pairs[gap : 2 * count - gap : 2] += 1
    if not pairs.any():
        return (count - 1) / 2
    off_center = (places - (count - 1) / 2) * spacing[0] / 10
    score = total / np.sqrt(np.maximum(pairs, 1)) - CENTERING * off_center**2
    return float(places[np.where(pairs > 0, score, -np.inf).argmax()])


def _likeness(volume: torch.Tensor, spacing: Sequence[float]) -> np.ndarray:
    """Return the correlations of all pairs of slices, each averaged to cells."""
    rows, columns = (max(1, round(volume.shape[axis] * spacing[axis] / CELL)) for axis in (1, 2))
    cells = adaptive_avg_pool2d(volume[:, None].float(), (rows, columns)).flatten(1).double()
    cells = cells - cells.mean(1, keepdim=True)
    cells = cells / cells.norm(dim=1, keepdim=True).clamp_min(1e-9)
    return (cells @ cells.T).cpu().numpy()
