"""The mid-sagittal plane of an image: the plane about which the volume is most symmetric."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import adaptive_avg_pool2d

from .symmetry import cell_counts, plane_of_symmetry


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
    rows, columns = cell_counts(volume.shape[1:], spacing)
    cells = adaptive_avg_pool2d(volume[:, None].float(), (rows, columns)).flatten(1).double()
    return plane_of_symmetry(cells.cpu().numpy(), float(spacing[0]))
