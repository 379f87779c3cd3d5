"""Costs, bounds and shortest paths of the search over skeletons, for pairs of anchors (:mod:`.skeleton_search`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .neighbor_gaps import NeighborGaps
from .peak_candidates import Candidates

LOST_DIGITS = 1e-14
"""Largest error of a product of factors, relative to the sum of its absolute terms."""


class SkeletonProblem:
    """Candidates of all channels as one list of N nodes, K per channel; costs are relative to those without a disc.

    A pair of anchors is the nodes of two discs ``(H, 2)``, the upper one first; its scale is ``(H,)``.

    Args:
        candidates: of each of the C channels; with fewer than K, the other nodes are not used.
        means: ``(C, 2)`` position of each channel in the mean body, in mm.
        spread: ``(C, 2)`` standard deviation of the positions, in mm.
        precision: ``(C, C)`` inverse standard deviation of the gaps between channels.
        missing: penalty of a channel without a disc.
        confidence_weight: weight of ``1 - confidence``.
        min_gap: minimum distance in S between two discs, in mm.
    """

    def __init__(
        self,
        candidates: Sequence[Candidates],
        means: np.ndarray,
        spread: np.ndarray,
        precision: np.ndarray,
        *,
        missing: float,
        confidence_weight: float,
        min_gap: float,
    ) -> None:
        self.channels, self.most = len(candidates), max(map(len, candidates))
        shape = (self.channels, self.most)
        self._position = np.zeros((*shape, 2))
        valid = np.zeros(shape, dtype=bool)
        confidence = np.zeros(shape)
        for channel, found in enumerate(candidates):
            self._position[channel, : len(found)] = found.positions
            confidence[channel, : len(found)] = found.confidence
            valid[channel, : len(found)] = True
        self._means, self._weight = means, spread**-2.0
        self.penalty = np.where(valid, confidence_weight * (1 - np.minimum(confidence, 1)) - missing, np.inf)
        self.channel = np.repeat(np.arange(self.channels), self.most)
        height = self._position[..., 1].ravel()
        descent = height[:, None] - height
        above = (self.channel[:, None] < self.channel) & (descent >= min_gap) & (descent > 0)
        self._above = above & valid.ravel()[:, None] & valid.ravel()
        self._conflict = np.where(self._above | self._above.T, 0.0, np.inf)
        apart = precision[self.channel][:, self.channel]
        self._gaps = NeighborGaps(self._position.reshape(-1, 2), means[self.channel], apart, self._above, self.most)
        self._factors = self._node_factors(self._position[valid].mean(0))
        by_channel = self._conflict.reshape(-1, self.channels, self.most)
        self._conflict_by_rank = np.ascontiguousarray(by_channel.transpose(2, 0, 1))

    def pairs(self, scale_range: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
        """Return all pairs that may be anchors and their scales, in order of their channels and candidates."""
        upper, lower = np.nonzero(self._above)
        position = self._position.reshape(-1, 2)
        distance = np.hypot(*(position[lower] - position[upper]).T)
        scale = distance / np.hypot(*(self._means[self.channel[lower]] - self._means[self.channel[upper]]).T)
        low, high = scale_range or (0.0, np.inf)
        keep = (scale >= low) & (scale <= high)
        pairs, scale = np.stack([upper[keep], lower[keep]], 1), scale[keep]
        first, second = self.channel[pairs.T]
        order = np.argsort(first * self.channels + second, kind="stable")
        return pairs[order], scale[order]

    def bounds(self, pairs: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return a lower bound ``(H,)`` of the cost of the best assignment for every pair of anchors, without gaps.

        The squares of the distances are expanded into a product of factors of the pair and factors of the candidate.
        What the product may lose by rounding is subtracted.
        """
        upper, lower = pairs.T
        of_pairs = self._pair_factors(upper, scale)
        best = np.zeros((len(pairs), self.channels))
        for factors, conflict in zip(self._factors, self._conflict_by_rank, strict=True):
            costs = of_pairs @ factors
            costs += conflict.take(upper, axis=0)
            costs += conflict.take(lower, axis=0)
            np.minimum(best, costs, out=best)
        rounding = np.abs(of_pairs) @ np.abs(self._factors).max((0, 2)) * (LOST_DIGITS * self.channels)
        return best.sum(1) + self._anchor_cost(pairs, scale) - rounding

    def gap_bounds(self, pairs: np.ndarray, scale: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
        """Return higher lower bounds ``(H,)``, with gaps, and how many channels in a row may be without a disc.

        Two consecutive channels cost at least their gap and half of what each of their discs costs more than the best
        of its channel, or half of what it costs to omit one of them.

        Args:
            pairs: nodes of the anchors.
            scale: their scales.
            limit: only assignments up to this cost count.
        """
        best, excess = self._excess(pairs, scale)
        omit = -best
        np.put_along_axis(omit, self.channel[pairs], np.inf, axis=1)
        least = 0.5 * np.minimum(omit[:, :-1], omit[:, 1:])
        excess *= 0.5
        for upper, lower in itertools.product(range(self.most), repeat=2):
            both = self._gaps.adjacent(scale, upper, lower)
            both += excess[upper, :, :-1]
            both += excess[lower, :, 1:]
            np.minimum(least, both, out=least)
        bound = best.sum(1) + least.sum(1)
        return bound, longest_omission(omit, least, limit - bound)

    def paths(self, pairs: np.ndarray, scale: np.ndarray, omitted: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the minimum cost ``(N, H)`` of a chain of candidates through both anchors that ends at a node.

        At most ``omitted`` channels in a row are without a disc in the chain. The second value is the predecessor of
        every node, -1 for none.
        """
        row = np.arange(len(pairs))
        paths = self._costs(pairs, scale).transpose(2, 0, 1).reshape(-1, len(pairs))
        paths[pairs[:, 0], row] = 0.0  # the cost of both anchors is that of the lower one
        paths[pairs[:, 1], row] = self._anchor_cost(pairs, scale)
        previous = np.full(paths.shape, -1)
        anchors = self.channel[pairs]
        for channel in range(1, self.channels):
            nodes = slice(channel * self.most, (channel + 1) * self.most)
            earlier = slice(max(channel - 1 - omitted, 0) * self.most, nodes.start)
            before = self._gaps.costs(scale, earlier, nodes)
            before += paths[earlier, None]
            least = before.min(0)
            opening = np.where(channel <= anchors[:, 0], 0.0, np.inf)
            previous[nodes] = np.where(opening <= least, -1, earlier.start + before.argmin(0))
            paths[nodes] += np.minimum(opening, least)
            paths[: nodes.start, (anchors == channel).any(1)] = np.inf
        return paths, previous

    def _node_factors(self, center: np.ndarray) -> np.ndarray:
        """Return the factors ``(K, 9, C)`` of candidates in the expanded squares; positions are from a center."""
        self._center = center
        place, means, weight = (self._position - center).transpose(2, 1, 0), self._means.T, self._weight.T
        factors = np.empty((9, self.most, self.channels))
        factors[0] = (weight[:, None] * place**2).sum(0)
        factors[1:3] = 2 * weight[:, None] * place
        factors[3:5] = weight[:, None]
        factors[5] = (-2 * (weight * means)[:, None] * place).sum(0)
        factors[6:8] = -2 * (weight * means)[:, None]
        factors[8] = (weight * means**2).sum(0) + np.where(np.isfinite(self.penalty), self.penalty, 0.0).T
        return factors.transpose(1, 0, 2).copy()

    def _pair_factors(self, upper: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return the factors ``(H, 9)`` of pairs in the expanded squares."""
        inverse = 1 / scale[:, None]
        rest = self._means[self.channel[upper]] - (self._position.reshape(-1, 2)[upper] - self._center) * inverse
        return np.hstack([inverse**2, inverse * rest, rest**2, inverse, rest, np.ones_like(inverse)])

    def _excess(self, pairs: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the least cost ``(H, C)`` of a disc or none, and what each candidate costs more, ``(K, H, C)``."""
        costs, row = self._costs(pairs, scale), np.arange(len(pairs))
        channel, rank = np.divmod(pairs.T, self.most)
        anchors = np.stack([np.zeros(len(pairs)), self._anchor_cost(pairs, scale)])
        costs[rank, row, channel] = anchors
        best = np.minimum(costs.min(0), 0.0)
        best[row, channel] = anchors
        costs -= best
        return best, costs

    def _costs(self, pairs: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return the cost of each candidate, ``(K, H, C)``; infinite for those out of order with the anchors."""
        inverse = 1 / scale[:, None]
        shift = self._shift(pairs[:, 0], scale) * inverse
        total = np.repeat(self.penalty.T[:, None, :], len(pairs), axis=1)
        for axis in (0, 1):
            root = np.sqrt(self._weight[:, axis])
            rest = (self._position[..., axis].T * root)[:, None, :] * inverse
            rest -= (shift[:, axis, None] + self._means[:, axis]) * root
            rest *= rest
            total += rest
        conflict = (self._conflict[pairs[:, 0]] + self._conflict[pairs[:, 1]]).reshape(-1, self.channels, self.most)
        total += conflict.transpose(2, 0, 1)
        return total

    def _shift(self, origin: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return self._position.reshape(-1, 2)[origin] - scale[:, None] * self._means[self.channel[origin]]

    def _anchor_cost(self, pairs: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return the cost of the two anchors, ``(H,)``; the upper one is at its expected position."""
        lower = pairs[:, 1]
        channel = self.channel[lower]
        target = self._shift(pairs[:, 0], scale) + scale[:, None] * self._means[channel]
        rest = (self._position.reshape(-1, 2)[lower] - target) / scale[:, None]
        penalty = self.penalty.ravel()
        return (rest**2 * self._weight[channel]).sum(1) + penalty[pairs[:, 0]] + penalty[lower]


def longest_omission(omit: np.ndarray, least: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Return how many channels in a row may be without a disc, ``(H,)``, if this costs at most ``slack`` more.

    Args:
        omit: ``(H, C)`` cost of omitting a channel.
        least: ``(H, C - 1)`` what two consecutive channels cost at least; it is lost if one of them is omitted.
        slack: ``(H,)``.
    """
    lost = np.pad(least, ((0, 0), (1, 1)))
    cost = omit - lost[:, :-1] - lost[:, 1:]
    longest = np.zeros(len(omit), dtype=int)
    for length in range(1, omit.shape[1] + 1):
        fits = cost.min(1) <= slack
        if not fits.any():
            break
        longest[fits] = length
        cost = cost[:, :-1] + omit[:, length:] - lost[:, length + 1 :]
    return longest
