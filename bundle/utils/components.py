"""Connected components of a label map, from runs of equal labels along its last axis.

NumPy alone does it, so that :mod:`bundle.runtime` needs no SciPy; the memory is that of the runs, not of the label map.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Components:
    """Connected components, numbered from 0 in the order of their first voxels.

    Attributes:
        shape: size of the label map.
        starts: first voxel of every run, as an index into the flat label map.
        lengths: voxels of every run.
        numbers: component of every run.
        sizes: voxels of every component.
        labels: label of every component.
    """

    shape: tuple[int, ...]
    starts: np.ndarray
    lengths: np.ndarray
    numbers: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray

    def mask(self, numbers: int | Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the voxels of a component, or of several."""
        chosen = np.isin(self.numbers, numbers)
        starts, lengths = self.starts[chosen], self.lengths[chosen]
        ends = np.cumsum(lengths)
        found = np.zeros(math.prod(self.shape), dtype=bool)
        found[np.arange(lengths.sum()) + np.repeat(starts - ends + lengths, lengths)] = True
        return found.reshape(self.shape)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of values, one per voxel, in every component."""
        sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        of_runs = sums[self.starts + self.lengths] - sums[self.starts]
        return np.bincount(self.numbers, of_runs, minlength=len(self.sizes)) / self.sizes


def find_components(labels: np.ndarray, *, corners: bool = False) -> Components:
    """Return the connected components of equal labels above 0; the background, 0, has none.

    Args:
        labels: label map, or a mask.
        corners: whether voxels that share a corner or an edge are connected; else those that share a face.

    Examples:
        >>> found = find_components(np.array([[1, 1, 0, 2], [0, 0, 1, 2]]))
        >>> found.sizes.tolist(), found.labels.tolist(), find_components(np.eye(3), corners=True).sizes.tolist()
        ([2, 2, 1], [1, 2, 1], [3])
    """
    values = np.ascontiguousarray(labels).reshape(-1)
    width = labels.shape[-1]
    differs = np.ones(len(values) + 1, dtype=bool)
    np.not_equal(values[1:], values[:-1], out=differs[1:-1])
    differs[:: max(width, 1)] = True
    ends = np.flatnonzero(differs)
    starts, lengths = ends[:-1], np.diff(ends)
    inside = values[starts] > 0
    starts, lengths = starts[inside], lengths[inside]
    of_runs = values[starts]
    pairs = [
        pair[:, of_runs[pair[0]] == of_runs[pair[1]]] for pair in _touching(starts, lengths, labels.shape, corners)
    ]
    first = _join(len(starts), np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1))
    chosen, numbers = np.unique(first, return_inverse=True)
    sizes = np.bincount(numbers, lengths, minlength=len(chosen)).astype(np.int64)
    return Components(labels.shape, starts, lengths, numbers, sizes, of_runs[chosen])


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Return a mask with its holes: the background that no path through faces joins with the border."""
    outside = find_components(np.pad(~mask, 1, constant_values=True)).mask(0)
    return ~outside[tuple(slice(1, -1) for _ in mask.shape)]


def _touching(starts: np.ndarray, lengths: np.ndarray, shape: tuple[int, ...], corners: bool) -> Iterator[np.ndarray]:
    """Yield pairs ``(2, N)`` of runs that touch; the second run is in a later row."""
    rows, columns = np.divmod(starts, max(shape[-1], 1))
    padded = tuple(size + 1 for size in shape)
    places = [*np.unravel_index(rows, shape[:-1]), columns] if len(shape) > 1 else [columns]
    begin = np.ravel_multi_index(places, padded) if len(starts) else starts
    stop = begin + lengths
    steps = [math.prod(padded[axis + 1 :]) for axis in range(len(shape) - 1)]
    for signs in itertools.product((-1, 0, 1), repeat=len(steps)):
        shift = sum(sign * step for sign, step in zip(signs, steps, strict=True))
        if shift > 0 and (corners or np.abs(signs).sum() == 1):
            low = np.searchsorted(stop, begin + shift - corners, side="right")
            high = np.searchsorted(begin, stop + shift + corners, side="left")
            counts = np.maximum(high - low, 0)
            ones = np.repeat(np.arange(len(begin)), counts)
            before = np.repeat(np.cumsum(counts) - counts, counts)
            yield np.stack([ones, np.repeat(low, counts) + np.arange(len(ones)) - before])


def _join(count: int, pairs: np.ndarray) -> np.ndarray:
    """Return the least node that each of ``count`` nodes is joined with by pairs ``(2, N)``."""
    least = np.arange(count)
    while True:
        ends = least[pairs]
        low = ends.min(0)
        joined = least.copy()
        np.minimum.at(joined, ends[0], low)
        np.minimum.at(joined, ends[1], low)
        while not np.array_equal(joined[joined], joined):
            joined = joined[joined]
        if np.array_equal(joined, least):
            return least
        least = joined
