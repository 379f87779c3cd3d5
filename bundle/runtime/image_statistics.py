"""Statistics of intensities, as :mod:`bundle.transforms.standardize` computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bundle.grid.constant_border import Content, excluded_remark, find_content

SAMPLE = 2**20
"""Voxels at most that percentiles are computed from, spread evenly over the volume."""


class VolumeStatistics(NamedTuple):
    """Numbers by which a volume is standardized, and remarks on them.

    Attributes:
        low: value below which it is clipped.
        high: value above which it is clipped.
        mean: mean after clipping.
        scale: inverse of the standard deviation.
        remarks: as sentences for the user.
    """

    low: float
    high: float
    mean: float
    scale: float
    remarks: list[str]

    @property
    def row(self) -> np.ndarray:
        """The input ``statistics`` of a graph, ``(1, 4)``."""
        return np.array([[self.low, self.high, self.mean, self.scale]])

    def standardize(self, values: np.ndarray) -> np.ndarray:
        """Return clipped values with zero mean and unit variance, float32."""
        clipped = values.astype(np.float64).clip(self.low, self.high)
        return ((clipped - self.mean) * self.scale).astype(np.float32)


def volume_statistics(
    values: np.ndarray, percentiles: Sequence[float] | None, *, exclude_border: bool = True
) -> VolumeStatistics:
    """Return the numbers by which a volume ``(C, ...)`` is standardized.

    Args:
        values: the volume.
        percentiles: lower and upper percentile, 0 to 100; None does not clip.
        exclude_border: whether a constant border does not count.
    """
    content = find_content(values) if exclude_border else Content(values, 1.0)
    inside, remarks = content.values.reshape(-1), excluded_remark(content)
    low, high = float(values.min()), float(values.max())
    if percentiles is not None:
        sample = inside[:: -(-len(inside) // SAMPLE)].astype(np.float64)
        limits = [float(value) for value in np.percentile(sample, percentiles)]
        if limits[0] < limits[1] or (inside == limits[0]).all():
            low, high = limits
        else:
            remarks.append(f"not clipped, as more than {min(percentiles):g} % of all voxels are equal")
    parts = [inside[start : start + SAMPLE] for start in range(0, len(inside), SAMPLE)]
    mean = sum(float(_clipped(part, low, high).sum()) for part in parts) / len(inside)
    variance = sum(float(np.square(_clipped(part, low, high) - mean).sum()) for part in parts) / len(inside)
    return VolumeStatistics(low, high, mean, variance**-0.5 if variance > 0 else 1.0, remarks)


class ColorStatistics(NamedTuple):
    """Means and standard deviations of the channels, ``(1, 2, C)``, and remarks on them."""

    row: np.ndarray
    remarks: list[str]


def color_statistics(values: np.ndarray, tolerance: float) -> ColorStatistics:
    """Return the numbers by which the channels of an image ``(C, H, W)`` are normalized.

    Args:
        values: the image.
        tolerance: a border that changes the numbers by at most this share of the standard deviation counts.
    """
    content = find_content(values)
    found = _channels(content.values)
    if content.share < 1 and tolerance > 0:
        complete = _channels(values)
        if (np.abs(complete - found) <= tolerance * found[1]).all():
            return ColorStatistics(complete[None], [])
    return ColorStatistics(found[None], excluded_remark(content))


def _channels(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1)
    return np.stack([flat.mean(1, dtype=np.float64), flat.std(1, dtype=np.float64)]).astype(np.float32)


def _clipped(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return values.astype(np.float64).clip(low, high)
