"""Heat maps of points: one Gaussian per channel, in closed form at sub-pixel coordinates.

A Gaussian is separable, so a map is the outer product of two profiles: no rounding to a pixel, no blur of an image.
The width that a head at a quarter of the resolution can represent is about one of its cells (``stride`` pixels).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def make_heatmaps(
    points: np.ndarray | torch.Tensor | Sequence[Sequence[float]],
    shape: Sequence[int],
    *,
    sigma: float,
    stride: int = 1,
    amplitude: np.ndarray | torch.Tensor | None = None,
) -> torch.Tensor:
    """Return one map per point, with a Gaussian around it.

    Cell ``i`` of a map lies at input pixel ``(i + 0.5) * stride - 0.5``; the value there is
    ``amplitude * exp(-d^2 / (2 sigma^2))``, d is the distance to the point in input pixels.

    Args:
        points: ``(C, 2)``, row and column in input pixels, pixel centers at integers; NaN for an absent point, whose
            map is zero.
        shape: rows and columns ``(H, W)`` of the maps, so the size of the input divided by ``stride``.
        sigma: standard deviation in input pixels.
        stride: input pixels per cell.
        amplitude: peak heights ``(C,)``; None for 1. NaN for an unknown point: its map is NaN, which the losses ignore.

    Returns:
        Maps ``(C, H, W)``, float32.

    Raises:
        ValueError: when the points are not ``(C, 2)``, the amplitudes not ``(C,)``, the shape is not a pair of positive
            sizes, or ``sigma`` or ``stride`` is not positive.

    Examples:
        >>> maps = make_heatmaps([[3.0, 5.0], [float("nan")] * 2], (8, 8), sigma=1.5)
        >>> maps.shape, float(maps[0, 3, 5]), float(maps[1].max())
        (torch.Size([2, 8, 8]), 1.0, 0.0)
    """
    places = torch.as_tensor(points, dtype=torch.float64)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"points must be (C, 2), row and column of every channel, got shape {tuple(places.shape)}.")
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be the rows and columns of the maps, got {tuple(shape)}.")
    if sigma <= 0 or stride < 1:
        raise ValueError(f"sigma must be positive and stride at least 1, got sigma={sigma} and stride={stride}.")
    absent = places.isnan().any(1, keepdim=True)
    rows, columns = (_profile(places[:, axis : axis + 1], shape[axis], sigma, stride) for axis in (0, 1))
    rows = rows.masked_fill(absent, 0.0)
    columns = columns.masked_fill(absent, 0.0)
    if amplitude is not None:
        peaks = torch.as_tensor(amplitude, dtype=torch.float64)
        if peaks.shape != places.shape[:1]:
            raise ValueError(f"amplitude needs one value for each of {len(places)} points, got {tuple(peaks.shape)}.")
        rows = rows * peaks[:, None]
    return rows.float()[:, :, None] * columns.float()[:, None, :]


def _profile(center: torch.Tensor, count: int, sigma: float, stride: int) -> torch.Tensor:
    """Return the values of the Gaussians ``(C, count)`` along one axis for centers ``(C, 1)``."""
    cells = (torch.arange(count, dtype=torch.float64, device=center.device) + 0.5) * stride - 0.5
    return torch.exp(-0.5 * ((cells - center) / sigma) ** 2)
