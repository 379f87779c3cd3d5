"""Costs of the distances between consecutive discs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bundle.tasks.spine.discs.neighbor_gaps import NeighborGaps, gap_precision
from bundle.tasks.spine.discs.skeleton import SkeletonPrior

MEANS = np.array([[0.0, 90.0], [0.0, 60.0], [0.0, 20.0]])


def prior(gap_spread: np.ndarray | None) -> SkeletonPrior:
    return SkeletonPrior((20, 21, 22), MEANS, np.full((3, 2), 5.0), (1,) * 3, gap_spread=gap_spread)


def test_the_variance_of_a_gap_that_skips_a_level_is_the_sum_of_its_gaps() -> None:
    precision = gap_precision(prior(np.array([4.0, 1.0])), [0, 1, 2], 3.0)
    np.testing.assert_allclose(precision[0, 1], 1 / 4)
    np.testing.assert_allclose(precision[1, 2], 1 / 3)
    np.testing.assert_allclose(precision[0, 2], 1 / 5)
    np.testing.assert_allclose(gap_precision(prior(np.array([4.0, 1.0])), [0, 2], 3.0)[0, 1], 1 / 5)


def test_a_prior_without_spreads_of_gaps_costs_nothing() -> None:
    assert not gap_precision(prior(None), [0, 1, 2], 3.0).any()


CHANNEL = np.repeat(np.arange(3), 2)
POSITION = MEANS[CHANNEL] * 1.2 + np.random.default_rng(0).normal(0, 8, (6, 2))


@pytest.fixture
def gaps() -> NeighborGaps:
    """Two candidates per level, in random places; each level follows those above."""
    follows = CHANNEL[:, None] < CHANNEL
    precision = gap_precision(prior(np.array([4.0, 1.0])), [0, 1, 2], 3.0)[CHANNEL][:, CHANNEL]
    return NeighborGaps(POSITION, MEANS[CHANNEL], precision, follows, 2)


def test_a_gap_costs_its_squared_deviation_in_the_size_of_the_body(gaps: NeighborGaps) -> None:
    scale = np.array([1.0, 1.3])
    costs = gaps.costs(scale, slice(0, 4), slice(4, 6))
    assert costs.shape == (4, 2, 2)
    distance = np.linalg.norm(POSITION[5] - POSITION[1])
    np.testing.assert_allclose(costs[1, 1, 1], ((distance / 1.3 - 70) / 5) ** 2)


def test_gaps_of_consecutive_levels_are_those_of_their_candidates(gaps: NeighborGaps) -> None:
    scale = np.array([0.8, 1.0, 1.3])
    for upper, lower in itertools.product(range(2), repeat=2):
        costs = gaps.adjacent(scale, upper, lower)
        assert costs.shape == (3, 2)
        for level in range(2):
            nodes = slice(2 * level + upper, 2 * level + upper + 1), slice(2 * level + 2 + lower, 2 * level + 3 + lower)
            np.testing.assert_allclose(costs[:, level], gaps.costs(scale, *nodes)[0, 0])
