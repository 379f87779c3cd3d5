"""Where sagittal slabs lie among the slices of a volume, and the share that every slice has in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.utils.lengths import is_at_least, is_at_most


def slab_places(count: int, spacing: float, middle: float, offsets: Sequence[float]) -> list[float]:
    """Return the positions of the slabs that are within a volume, in slices; that of the middle, if none is.

    Args:
        count: slices of the volume.
        spacing: their distance in mm.
        middle: position of the mid-sagittal plane in slices.
        offsets: positions of the slabs in mm to the right of it.
    """
    places = [middle + offset / spacing for offset in offsets]
    inside = [place for place in places if is_at_least(place, -0.5) and is_at_most(place, count - 0.5)]
    return inside or [middle]


def slice_weights(count: int, spacing: float, place: float, thickness: float) -> tuple[slice, np.ndarray, float]:
    """Return the slices of a band about ``place``, cut at the border, their shares in its mean, and its middle."""
    half = thickness / spacing / 2
    place = min(max(place, 0.0), count - 1.0)
    low, high = max(place - half, -0.5), min(place + half, count - 0.5)
    first, last = round(np.floor(low + 0.5)), min(round(np.ceil(high + 0.5)), count)
    slices = np.arange(first, last)
    weights = np.minimum(slices + 0.5, high) - np.maximum(slices - 0.5, low)
    return slice(first, last), weights / weights.sum(), (low + high) / 2


def slab_weights(count: int, spacing: float, places: Sequence[float], thickness: float) -> np.ndarray:
    """Return the share of every slice in every slab, ``(N, R)``."""
    shares = np.zeros((len(places), count))
    for row, place in zip(shares, places, strict=True):
        slices, weights, _ = slice_weights(count, spacing, place, thickness)
        row[slices] = weights
    return shares


def slab_affine(affine: np.ndarray, place: float, thickness: float) -> np.ndarray:
    """Return the affine of a slab: that of the volume with its origin at ``place`` and steps of the thickness."""
    found = affine.copy()
    found[:3, 3] += place * found[:3, 0]
    found[:3, 0] *= thickness / np.linalg.norm(found[:3, 0])
    return found
