"""Candidate points of heat maps: local maxima at sub-cell positions.

The position is the intensity-weighted centroid around the peak or, where peaks are close to each other, the maximum of
the Gaussian through the cell of the peak and its neighbors along each axis.

The threshold is absolute. Dividing a channel by its maximum, as the stacked hourglass of Azad et al. does
(https://arxiv.org/abs/2108.06554, code), turns the noise of a channel without a response into a candidate.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bundle.utils.check_choice import check_choice
from bundle.utils.lengths import is_below

if TYPE_CHECKING:
    import torch

Fit = Literal["centroid", "gaussian"]

TINY = float(np.finfo(np.float32).tiny)
"""Smallest value of which a logarithm is taken."""

BASELINE = 0.1
"""The weight of a cell in the centroid is its value above this fraction of the peak."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate points of one channel, the most confident first.

    Attributes:
        positions: ``(k, 2)`` float64, row and column in input pixels, or A and S in mm.
        confidence: ``(k,)`` float64, height of the peak, at most 1.
    """

    positions: np.ndarray
    confidence: np.ndarray

    def __post_init__(self) -> None:
        if self.positions.shape != (len(self.confidence), 2) or self.confidence.ndim != 1:
            raise ValueError(
                f"candidates need positions (k, 2) and confidence (k,), got {self.positions.shape} "
                f"and {self.confidence.shape}."
            )

    def __len__(self) -> int:
        return len(self.confidence)


def find_candidates(
    heatmaps: torch.Tensor | np.ndarray,
    *,
    count: int = 4,
    threshold: float = 0.1,
    min_distance: float = 8.0,
    stride: int = 1,
    radius: float = 12.0,
    fit: Fit = "centroid",
) -> list[Candidates]:
    """Return the highest local maxima of every channel.

    With ``"centroid"``, the position is the centroid of the cells within ``radius`` of the peak, weighted by their
    value above a tenth of the peak (a hard threshold would shift the centroid). With ``"gaussian"``, it is the maximum
    of the parabola through the logarithms of three cells along each axis: exact for a single Gaussian, and little
    influenced by the next one. Of two maxima closer than ``min_distance`` the higher one is kept; of equal ones the
    first in row order.

    Args:
        heatmaps: ``(C, H, W)``.
        count: maximum number of candidates per channel.
        threshold: minimum height of a peak, absolute.
        min_distance: minimum distance between two candidates of a channel in input pixels.
        stride: input pixels per cell; the center of cell ``i`` is at pixel ``(i + 0.5) * stride - 0.5``.
        radius: radius of the centroid in input pixels: twice the standard deviation of the Gaussians or more.
        fit: ``"centroid"`` or ``"gaussian"``, which does not use ``radius``.

    Returns:
        Candidates per channel, in input pixels.

    Raises:
        ValueError: when the maps are not ``(C, H, W)`` or not finite, or an option is out of range.

    Examples:
        >>> from bundle.tasks.spine.discs import make_heatmaps
        >>> (found,) = find_candidates(make_heatmaps([[20.5, 33.0]], (16, 16), sigma=6.0, stride=4), stride=4)
        >>> [round(float(pixel), 1) for pixel in found.positions[0]]
        [20.5, 33.0]
    """
    maps = _array(heatmaps).astype(np.float32)
    if maps.ndim != 3 or 0 in maps.shape:
        raise ValueError(f"heat maps must be (C, H, W), got shape {maps.shape}.")
    if not np.isfinite(maps).all():
        raise ValueError("the heat maps hold NaN or Inf; check the weights of the network and its input.")
    if min(threshold, radius) <= 0 or min(count, stride) < 1 or min_distance < 0:
        raise ValueError(
            "threshold and radius must be positive, count and stride at least 1, min_distance not negative, got "
            f"{threshold=}, {radius=}, {count=}, {stride=}, {min_distance=}."
        )
    check_choice("fit", fit, get_args(Fit))
    cells, heights = _highest_maxima(maps, count, threshold, min_distance / stride)
    places = _gaussian_peaks(maps, cells) if fit == "gaussian" else _centroids(maps, cells, math.ceil(radius / stride))
    return _by_channel((places + 0.5) * stride - 0.5, heights, threshold)


def peak_widths(
    heatmaps: torch.Tensor | np.ndarray, candidates: list[Candidates], *, stride: int = 1
) -> list[np.ndarray]:
    """Return the standard deviation of the Gaussian at every candidate, along the axis where it is larger.

    A peak in which the responses to two discs merge is wider than that of a single disc.

    Args:
        heatmaps: ``(C, H, W)``.
        candidates: candidates per channel, in input pixels.
        stride: input pixels per cell.

    Returns:
        Per channel ``(k,)`` in input pixels; infinite where the map has no peak along an axis, and 0 at a border.

    Examples:
        >>> from bundle.tasks.spine.discs import make_heatmaps
        >>> maps = make_heatmaps([[20.5, 33.0]], (16, 16), sigma=6.0, stride=4)
        >>> (width,) = peak_widths(maps, find_candidates(maps, stride=4), stride=4)
        >>> round(float(width[0]), 1)
        6.0
    """
    logs = _padded_logs(_array(heatmaps))
    widths = []
    for channel, found in zip(logs, candidates, strict=True):
        rows, columns = (((found.positions + 0.5) / stride - 0.5).round().astype(int) + 1).T
        rows, columns = rows.clip(1, channel.shape[0] - 2), columns.clip(1, channel.shape[1] - 2)
        middle = 2 * channel[rows, columns]
        along_rows = middle - channel[rows - 1, columns] - channel[rows + 1, columns]
        along_columns = middle - channel[rows, columns - 1] - channel[rows, columns + 1]
        curvature = np.fmin(along_rows, along_columns)
        with np.errstate(divide="ignore"):
            width = stride * np.maximum(curvature, 0.0) ** -0.5
        widths.append(np.where(np.isnan(curvature), 0.0, width))
    return widths


def _array(maps: Any) -> np.ndarray:
    """Return maps, an array or a tensor on any device, as an array."""
    return maps.detach().cpu().double().numpy() if hasattr(maps, "detach") else np.asarray(maps)


def _padded_logs(maps: np.ndarray) -> np.ndarray:
    """Return the logarithms of maps ``(C, H, W)`` with a border of NaN, float64."""
    logs = np.log(maps.astype(np.float64).clip(min=TINY))
    return np.pad(logs, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)


def _is_maximum(maps: np.ndarray) -> np.ndarray:
    """Return the cells that none of their eight neighbors exceeds; of equal neighbors, the first in row order."""
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    found = np.ones(maps.shape, dtype=bool)
    for row, column in itertools.product((-1, 0, 1), repeat=2):
        neighbor = padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
        if (row, column) < (0, 0):
            found &= maps > neighbor
        elif (row, column) > (0, 0):
            found &= maps >= neighbor
    return found


def _highest_maxima(
    maps: np.ndarray, count: int, threshold: float, min_distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return cells ``(C, count, 2)`` and heights ``(C, count)`` of maxima, -1 where a channel has no further one."""
    height, width = maps.shape[1:]
    remaining = np.where(_is_maximum(maps) & (maps >= np.float32(threshold)), maps, np.float32(-1))
    rows, columns = np.arange(height)[None, :, None], np.arange(width)[None, None, :]
    cells, heights = [], []
    for _ in range(count):
        where = remaining.reshape(len(maps), -1).argmax(1)
        heights.append(remaining.reshape(len(maps), -1)[np.arange(len(maps)), where])
        row, column = np.divmod(where, width)
        cells.append(np.stack([row, column], 1))
        distance = (rows - row[:, None, None]) ** 2 + (columns - column[:, None, None]) ** 2
        remaining[is_below(distance, min_distance**2) | (distance == 0)] = -1
    return np.stack(cells, 1), np.stack(heights, 1)


def _centroids(maps: np.ndarray, cells: np.ndarray, radius: int) -> np.ndarray:
    """Return the weighted centroids ``(C, count, 2)`` around cells ``(C, count, 2)``, in cells, float64."""
    padded = np.pad(maps, ((0, 0), (radius, radius), (radius, radius))).astype(np.float64)
    offsets = np.arange(-radius, radius + 1)
    rows = cells[..., 0, None] + radius + offsets
    columns = cells[..., 1, None] + radius + offsets
    channel = np.arange(len(maps))[:, None, None, None]
    window = padded[channel, rows[..., :, None], columns[..., None, :]]
    peak = window[..., radius, radius][..., None, None]
    weight = (window - BASELINE * peak).clip(min=0)
    total = weight.sum((-2, -1)).clip(min=np.finfo(np.float64).tiny)
    row = (weight.sum(-1) * offsets).sum(-1) / total
    column = (weight.sum(-2) * offsets).sum(-1) / total
    return cells + np.stack([row, column], -1)


def _gaussian_peaks(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the peaks ``(C, count, 2)`` of Gaussians at cells ``(C, count, 2)``; at a border, the cell center."""
    logs = _padded_logs(maps)
    channel = np.arange(len(maps))[:, None]
    row, column = cells[..., 0] + 1, cells[..., 1] + 1
    here = logs[channel, row, column]
    steps = []
    for down, right in ((1, 0), (0, 1)):
        before, after = logs[channel, row - down, column - right], logs[channel, row + down, column + right]
        with np.errstate(divide="ignore", invalid="ignore"):
            steps.append(0.5 * (before - after) / (before - 2 * here + after))
    return cells + np.nan_to_num(np.stack(steps, -1), nan=0.0)


def _by_channel(places: np.ndarray, heights: np.ndarray, threshold: float) -> list[Candidates]:
    found = heights >= np.float32(threshold)
    values = zip(places, heights.clip(max=1.0).astype(np.float64), found, strict=True)
    return [Candidates(position[keep], confidence[keep]) for position, confidence, keep in values]
