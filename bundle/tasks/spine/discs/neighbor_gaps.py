"""Cost of the distances between consecutive discs, for the search over skeletons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .skeleton import SkeletonPrior

SCALE_STEPS = 16
"""Number of intervals of the scale for which lower bounds are computed."""


class NeighborGaps:
    """Squared deviation of the distance of two candidates from the one expected, for every pair of candidates.

    Args:
        position: ``(N, 2)`` of the candidates in mm.
        means: ``(N, 2)`` position of the level of each candidate in the mean body, in mm.
        precision: ``(N, N)`` inverse of the standard deviation of the gap between the levels of two candidates.
        follows: ``(N, N)`` whether the second candidate may follow the first one; else the cost is infinite.
    """

    def __init__(self, position: np.ndarray, means: np.ndarray, precision: np.ndarray, follows: np.ndarray) -> None:
        self.distance = _distances(position) * precision
        expected = _distances(means) * precision
        self.expected = np.where(follows | follows.T, expected, np.inf)
        self.follows = follows

    def costs(self, scale: np.ndarray, nodes: slice) -> np.ndarray:
        """Return the cost ``(J, K, H)`` of a gap from any of the J candidates before ``nodes`` to each of these.

        Args:
            scale: ``(H,)`` scales.
            nodes: the K candidates of a channel.
        """
        before = slice(0, nodes.start)
        rest = self.distance[before, nodes, None] * (1 / scale)
        rest -= self.expected[before, nodes, None]
        rest *= rest
        return rest

    def least(self, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lower bounds of the cost of the gap to the best predecessor, by interval of the scale.

        Returns:
            Bounds ``(steps, N)``, infinite without a predecessor, and the interval ``(H,)`` of every scale.
        """
        if not len(scale):
            return np.empty((0, len(self.distance))), np.empty(0, dtype=int)
        edges = np.geomspace(scale.min(), scale.max(), SCALE_STEPS + 1)
        edges[-1] = scale.max()
        bounds = np.empty((SCALE_STEPS, len(self.distance)))
        for step, (low, high) in enumerate(itertools.pairwise(edges)):
            rest = np.maximum(self.distance / high - self.expected, self.expected - self.distance / low)
            bounds[step] = np.where(self.follows, np.maximum(rest, 0.0) ** 2, np.inf).min(0)
        return bounds, np.clip(np.searchsorted(edges, scale, side="right") - 1, 0, SCALE_STEPS - 1)


def gap_precision(prior: SkeletonPrior, rows: Sequence[int], min_spread: float) -> np.ndarray:
    """Return the inverse standard deviations ``(n, n)`` of the gaps between levels of a prior.

    The variance of a gap that skips levels is the sum of the variances of its gaps.

    Args:
        prior: the prior; without spreads of gaps, the result is 0.
        rows: rows of the levels, ascending.
        min_spread: minimum standard deviation of the gap between neighbors.
    """
    if prior.gap_spread is None:
        return np.zeros((len(rows), len(rows)))
    total = np.concatenate([[0.0], np.cumsum(np.maximum(prior.gap_spread, min_spread) ** 2)])[list(rows)]
    variance = np.abs(total[:, None] - total)
    np.fill_diagonal(variance, np.inf)
    return variance**-0.5


def _distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=2)
