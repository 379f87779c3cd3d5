"""Cost of the distances between consecutive discs, for the search over skeletons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .skeleton import SkeletonPrior


class NeighborGaps:
    """Squared deviation of the distance of two candidates from the one expected, for every pair of candidates.

    Args:
        position: ``(N, 2)`` of the candidates in mm.
        means: ``(N, 2)`` position of the level of each candidate in the mean body, in mm.
        precision: ``(N, N)`` inverse of the standard deviation of the gap between the levels of two candidates.
        follows: ``(N, N)`` whether the second candidate may follow the first one; else the cost is infinite.
        most: number K of candidates of each channel; the candidates are in order of their channels.
    """

    def __init__(
        self, position: np.ndarray, means: np.ndarray, precision: np.ndarray, follows: np.ndarray, most: int
    ) -> None:
        self.distance = _distances(position) * precision
        expected = _distances(means) * precision
        self.expected = np.where(follows | follows.T, expected, np.inf)
        channels = len(position) // most
        upper, lower = np.arange(channels - 1), np.arange(1, channels)
        shape = (channels, most, channels, most)
        self._adjacent = [
            np.ascontiguousarray(table.reshape(shape)[upper, :, lower].transpose(1, 2, 0))
            for table in (self.distance, self.expected)
        ]

    def costs(self, scale: np.ndarray, before: slice, nodes: slice) -> np.ndarray:
        """Return the cost ``(J, K, H)`` of a gap from each of J candidates to each of the K candidates of a channel.

        Args:
            scale: ``(H,)`` scales.
            before: the J candidates.
            nodes: the K candidates.
        """
        rest = self.distance[before, nodes, None] * (1 / scale)
        rest -= self.expected[before, nodes, None]
        rest *= rest
        return rest

    def adjacent(self, scale: np.ndarray, upper: int, lower: int) -> np.ndarray:
        """Return the cost ``(H, C - 1)`` of the gaps between one candidate of each channel and one of the next.

        Args:
            scale: ``(H,)`` scales.
            upper: which of the K candidates of a channel is the upper one.
            lower: which of the K candidates of the next channel is the lower one.
        """
        distance, expected = self._adjacent
        rest = (1 / scale)[:, None] * distance[upper, lower]
        rest -= expected[upper, lower]
        rest *= rest
        return rest


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
    return np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
