"""Assignment of levels to candidate points in the order of the spine, by dynamic programming.

Every candidate has a log-probability for each level and for not being a disc. Levels increase downward, so a selection
of candidates from the top must have increasing levels. From the highest candidate down, the best selection that ends at
a candidate with a level is the gain of the two, plus the best selection among higher candidates and smaller levels.
"""

from __future__ import annotations

import numpy as np


def assign_levels(
    heights: np.ndarray, log_probabilities: np.ndarray, *, min_gap: float = 4.0
) -> tuple[int | None, ...]:
    """Return the most probable levels of candidates, in the order of the spine, each level at most once.

    Args:
        heights: S of the candidates in mm, ``(N,)``, in any order.
        log_probabilities: of the L levels from head to foot and, last, of not being a disc, ``(N, L + 1)``; a constant
            per candidate has no influence, so logits can be given.
        min_gap: smallest distance along S of two discs in mm.

    Returns:
        For every candidate the index of its level, or None. Of all selections with levels that increase downward, it is
        the one with the largest sum of log-probabilities.

    Raises:
        ValueError: when the shapes do not fit, a number is not finite, or the gap is negative.

    Examples:
        >>> scores = np.log([[0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
        >>> assign_levels(np.array([10.0, 40.0, 25.0]), scores)
        (1, 0, None)
    """
    heights, table = np.asarray(heights, dtype=float), np.asarray(log_probabilities, dtype=float)
    if heights.ndim != 1 or table.ndim != 2 or len(table) != len(heights) or table.shape[1] < 2:
        raise ValueError(
            f"candidates need heights (N,) and log_probabilities (N, L + 1), got {heights.shape} and {table.shape}."
        )
    if not (np.isfinite(heights).all() and np.isfinite(table).all()):
        raise ValueError("heights and log_probabilities of candidates must be finite.")
    if not min_gap >= 0:
        raise ValueError(f"min_gap must not be negative, got {min_gap}.")
    order = np.argsort(-heights, kind="stable")
    decreasing = heights[order]
    above = np.searchsorted(-decreasing, -(decreasing + min_gap), side="right")
    above = np.minimum(above, np.arange(len(order)))
    gain = table[order, :-1] - table[order, -1:]
    chosen: list[int | None] = [None] * len(order)
    for row, level in _trace(_chains(gain, above), above):
        chosen[order[row]] = level
    return tuple(chosen)


def _chains(gain: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the best sum ``(N, L)`` of a selection that ends at a candidate with a level."""
    best = gain.copy()
    for row, count in enumerate(above):
        if count:
            before = np.maximum.accumulate(best[:count].max(axis=0))[:-1]
            best[row, 1:] += np.maximum(before, 0.0)
    return best


def _trace(best: np.ndarray, above: np.ndarray) -> list[tuple[int, int]]:
    """Return candidates and levels of the best selection, from its end to its start."""
    nodes = []
    remaining = best
    while remaining.size and remaining.max() > 0:
        row, level = (int(index) for index in np.unravel_index(remaining.argmax(), remaining.shape))
        nodes.append((row, level))
        remaining = best[: above[row], :level]
    return nodes
