"""Class scores of overlapping windows, blended slab by slab, as :class:`bundle.inference.SlabInferer` does it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bundle.inference.windows import corners, slab_axis, slices, window_starts

SIGMA = 0.125
"""Standard deviation of the Gaussian by which windows are blended, in windows."""

SMALLEST_WEIGHT = 1e-3


def run_axis(size: Sequence[int], window: Sequence[int]) -> int:
    """Return the axis along which windows run over a volume."""
    return slab_axis([max(pair) for pair in zip(size, window, strict=True)], window)


def blend_windows(
    image: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    *,
    window: Sequence[int],
    overlap: float,
) -> Iterator[np.ndarray]:
    """Yield finished slabs ``(K, D, H, W)`` of the scores of a volume, along :func:`run_axis`.

    The scores of the complete volume never exist. A slab is overwritten once the next one is asked for.

    Args:
        image: volume ``(C, D, H, W)``.
        network: returns the scores ``(K, ...)`` of a part ``(C, ...)`` of the volume, which is smaller than the window
            where the volume is.
        window: window of the training.
        overlap: share of a window that its neighbor covers too, at least.
    """
    size = image.shape[1:]
    axis = run_axis(size, window)
    parts = [min(pair) for pair in zip(size, window, strict=True)]
    starts = [window_starts(count, part, overlap) for count, part in zip(size, parts, strict=True)]
    weight = _weights(window, parts)
    slab = total = np.empty(0)
    rows = [*starts[axis], size[axis]]
    for row, (start, end) in enumerate(itertools.pairwise(rows)):
        for corner in corners([places if number != axis else [start] for number, places in enumerate(starts)], axis):
            scores = network(image[(slice(None), *slices(corner, parts))])
            if not slab.size:
                depth = [
                    part if number == axis else count
                    for number, (count, part) in enumerate(zip(size, parts, strict=True))
                ]
                slab, total = np.zeros((len(scores), *depth), np.float32), np.zeros(depth, np.float32)
            place = list(slices(corner, parts))
            place[axis] = slice(None)
            slab[(slice(None), *place)] += scores * weight
            total[tuple(place)] += weight
        done = (*[slice(None)] * axis, slice(0, end - start))
        yield slab[(slice(None), *done)] / total[done]
        if row + 2 < len(rows):
            _shift(slab, axis + 1, end - start)
            _shift(total, axis, end - start)


def _shift(buffer: np.ndarray, axis: int, count: int) -> None:
    """Move the planes after the first ``count`` ones to the front, and clear what they leave."""
    planes = np.moveaxis(buffer, axis, 0)
    kept = len(planes) - count
    planes[:kept] = planes[count:].copy()
    planes[kept:] = 0


def _weights(window: Sequence[int], parts: Sequence[int]) -> np.ndarray:
    """Return MONAI's Gaussian importance map of a window, without the padding of a volume that is smaller."""
    rows = []
    for size in window:
        distance = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
        rows.append(np.exp(distance**2 / np.float32(-2 * (SIGMA * size) ** 2)))
    weights = functools.reduce(np.multiply.outer, rows)
    weights = np.maximum(weights, max(float(weights.min()), SMALLEST_WEIGHT)).astype(np.float32)
    before = [(size - part) // 2 for size, part in zip(window, parts, strict=True)]
    return weights[slices(before, parts)]
