"""Bounds and paths of the search: no bound exceeds the cost of a choice."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.tasks.spine.discs.peak_candidates import Candidates
from bundle.tasks.spine.discs.skeleton_problem import SkeletonProblem, longest_omission

CHANNELS = 8


def make_problem(seed: int, offset: float = 0.0, spread: float = 6.0) -> SkeletonProblem:
    """Return up to four candidates per channel: near the disc, near that of a neighbor, or anywhere."""
    rng = np.random.default_rng(seed)
    means = np.stack([rng.normal(0, 8, CHANNELS), -np.cumsum(rng.uniform(20, 35, CHANNELS))], 1)
    found = []
    for channel in range(CHANNELS):
        near = means[np.clip([channel, channel - 1, channel + 1], 0, CHANNELS - 1)] + rng.normal(0, 3, (3, 2))
        places = np.concatenate([near, rng.uniform(-200, 20, (1, 2))])[: rng.integers(1, 5)]
        found.append(Candidates(1.1 * places + offset, rng.uniform(0.2, 1, len(places))))
    variance = np.abs(np.subtract.outer(np.arange(CHANNELS), np.arange(CHANNELS))) * 9.0
    np.fill_diagonal(variance, np.inf)
    return SkeletonProblem(
        found,
        means,
        np.full((CHANNELS, 2), spread),
        variance**-0.5,
        missing=20.0,
        confidence_weight=20.0,
        min_gap=4.0,
    )


@pytest.mark.parametrize(("offset", "spread"), [(0.0, 6.0), (1e4, 6.0), (0.0, 0.01)])
def test_bounds_do_not_exceed_the_cost_of_the_best_choice_through_the_anchors(offset: float, spread: float) -> None:
    for seed in range(20):
        problem = make_problem(seed, offset, spread)
        pairs, scale = problem.pairs((0.6, 1.6))
        cost = problem.paths(pairs, scale, CHANNELS)[0].min(0)
        rounding = 1e-9 * (1 + np.abs(cost))
        bound = problem.bounds(pairs, scale)
        gap_bound, _ = problem.gap_bounds(pairs, scale, np.inf)
        assert (bound <= gap_bound + rounding).all()
        assert (gap_bound <= cost + rounding).all()


def test_the_bound_with_gaps_is_nearly_the_cost() -> None:
    problem = make_problem(0)
    pairs, scale = problem.pairs((0.6, 1.6))
    cost = problem.paths(pairs, scale, CHANNELS)[0].min(0)
    apart = [
        np.median(cost - bound) for bound in (problem.bounds(pairs, scale), problem.gap_bounds(pairs, scale, 0)[0])
    ]
    assert apart[1] < 0.5 * apart[0]


def test_what_may_be_omitted_within_a_cost_does_not_change_the_best_choice_of_that_cost() -> None:
    limited = 0
    for seed in range(20):
        problem = make_problem(seed)
        pairs, scale = problem.pairs((0.6, 1.6))
        cost = problem.paths(pairs, scale, CHANNELS)[0].min(0)
        limit = float(np.quantile(cost, 0.2))
        _, omitted = problem.gap_bounds(pairs, scale, limit)
        for pair in np.flatnonzero(cost <= limit):
            one = slice(pair, pair + 1)
            found = problem.paths(pairs[one], scale[one], int(omitted[pair]))[0].min()
            assert found == pytest.approx(cost[pair], abs=1e-9)
        limited += (omitted[cost <= limit] < CHANNELS - 2).sum()
    assert limited > 50


def test_a_chain_without_omissions_has_a_disc_in_every_channel_between_its_ends() -> None:
    problem = make_problem(1)
    pairs, scale = problem.pairs((0.6, 1.6))
    paths, previous = problem.paths(pairs, scale, 0)
    for pair in range(len(pairs)):
        node, seen = int(paths[:, pair].argmin()), []
        while np.isfinite(paths[:, pair].min()) and node >= 0:
            seen.append(int(problem.channel[node]))
            node = int(previous[node, pair])
        assert seen == list(range(seen[0], seen[-1] - 1, -1)) if seen else True


def test_omissions_are_counted_while_they_cost_less_than_the_slack() -> None:
    """The cost of omitting channels less what their gaps cost at least, for the cheapest channels in a row."""
    omit = np.array([[9.0, 5.0, 4.0, np.inf, 6.0]] * 4)
    least = np.array([[1.0, 2.0, 1.0, 0.5]] * 4)
    slack = np.array([0.9, 1.0, 5.0, 14.0])
    assert longest_omission(omit, least, slack).tolist() == [0, 1, 2, 3]
    assert longest_omission(np.zeros((1, 3)), np.zeros((1, 2)), np.zeros(1)).tolist() == [3]
