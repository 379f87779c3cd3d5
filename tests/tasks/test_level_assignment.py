"""Levels for candidates under the order of the spine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bundle.tasks.spine.discs.level_assignment import assign_levels


def brute_force(heights: np.ndarray, table: np.ndarray, min_gap: float) -> float:
    """Return the best sum of log-probabilities of all allowed choices."""
    levels = table.shape[1] - 1
    best = -np.inf
    for choice in itertools.product(range(levels + 1), repeat=len(heights)):
        taken = sorted((level, -heights[row]) for row, level in enumerate(choice) if level < levels)
        pairs = list(itertools.pairwise(taken))
        if all(a[0] < b[0] and b[1] - a[1] >= min_gap for a, b in pairs):
            best = max(best, sum(table[row, level] for row, level in enumerate(choice)))
    return best


def value_of(choice: tuple[int | None, ...], table: np.ndarray) -> float:
    return sum(table[row, -1 if level is None else level] for row, level in enumerate(choice))


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_the_best_of_all_that_are_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, levels = rng.integers(1, 6), rng.integers(1, 5)
    heights, table = rng.uniform(0, 30, count), rng.normal(0, 2, (count, levels + 1))
    choice = assign_levels(heights, table, min_gap=5.0)
    assert value_of(choice, table) == pytest.approx(brute_force(heights, table, 5.0))
    taken = sorted((level, -heights[row]) for row, level in enumerate(choice) if level is not None)
    assert all(a[0] < b[0] and b[1] - a[1] >= 5.0 for a, b in itertools.pairwise(taken))


def test_the_order_of_the_candidates_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    heights, table, order = rng.uniform(0, 200, 12), rng.normal(0, 3, (12, 9)), rng.permutation(12)
    expected = assign_levels(heights, table)
    assert assign_levels(heights[order], table[order]) == tuple(expected[row] for row in order)


def test_logits_do_as_well_as_probabilities() -> None:
    rng = np.random.default_rng(4)
    heights, logits = rng.uniform(0, 200, 8), rng.normal(0, 3, (8, 6))
    normalized = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert assign_levels(heights, logits) == assign_levels(heights, normalized)


def test_a_reversed_spine_keeps_one_disc_at_most() -> None:
    table = np.full((4, 5), -9.0)
    table[np.arange(4), [3, 2, 1, 0]] = [0.0, 0.1, 0.2, 0.3]
    assert assign_levels(np.array([90.0, 60.0, 30.0, 0.0]), table) == (None, None, None, 0)


def test_two_candidates_on_one_spot_are_one_disc() -> None:
    table = np.array([[0.0, -9.0, -5.0], [-9.0, 0.5, -5.0]])
    assert assign_levels(np.array([10.0, 10.0]), table, min_gap=0.5) == (None, 1)
    assert assign_levels(np.array([10.0, 9.0]), table, min_gap=0.5) == (0, 1)
    assert assign_levels(np.array([10.0, 10.0]), table, min_gap=0.0) == (0, 1)


def test_nothing_gives_nothing() -> None:
    assert assign_levels(np.empty(0), np.empty((0, 5))) == ()
    assert assign_levels(np.zeros(1), np.array([[0.0, 1.0]])) == (None,)


@pytest.mark.parametrize(
    ("heights", "table", "gap", "message"),
    [
        (np.zeros(2), np.zeros((3, 4)), 1.0, r"heights \(N,\) and log_probabilities .* got \(2,\) and \(3, 4\)"),
        (np.zeros((2, 1)), np.zeros((2, 4)), 1.0, r"got \(2, 1\)"),
        (np.zeros(2), np.zeros(2), 1.0, r"and \(2,\)"),
        (np.zeros(2), np.zeros((2, 1)), 1.0, r"and \(2, 1\)"),
        (np.array([np.nan]), np.zeros((1, 2)), 1.0, "must be finite"),
        (np.zeros(1), np.full((1, 2), -np.inf), 1.0, "must be finite"),
        (np.zeros(1), np.zeros((1, 2)), -1.0, "min_gap must not be negative, got -1"),
    ],
)
def test_what_does_not_fit_is_refused(heights: np.ndarray, table: np.ndarray, gap: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign_levels(heights, table, min_gap=gap)
