"""Levels for candidate points under the order of the spine: the best assignment by dynamic programming.

Every candidate has a log-probability for each level and for being no disc. Discs follow each other downward, so a
choice of candidates from the top must have rising levels. From the highest candidate down, the best choice that ends at
a candidate with a level is what the two add, and the best choice among the higher candidates and smaller levels.
"""

from __future__ import annotations

import numpy as np


def assign_levels(
    heights: np.ndarray, log_probabilities: np.ndarray, *, min_gap: float = 4.0
) -> tuple[int | None, ...]:
    """Return the most probable levels of candidates of which no two have one level, spot or the wrong order.

    Args:
        heights: S of the candidates in mm, ``(N,)``, in any order.
        log_probabilities: of the L levels from head to foot and, last, of no disc, ``(N, L + 1)``; what is the same for
            all levels of a candidate does not count, so that logits will do.
        min_gap: least distance along S of two discs in mm.

    Returns:
        For every candidate the number of its level from 0 on, or None. Of all choices with rising levels downward, the
        sum of the log-probabilities is highest.

    Raises:
        ValueError: when the shapes do not fit, a number is not finite, or the gap is negative.
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
    falling = heights[order]
    above = np.searchsorted(-falling, -(falling + min_gap), side="right")
    above = np.minimum(above, np.arange(len(order)))
    gain = table[order, :-1] - table[order, -1:]
    chosen: list[int | None] = [None] * len(order)
    for row, level in _walk(_chains(gain, above), above):
        chosen[order[row]] = level
    return tuple(chosen)


def _chains(gain: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the best sum ``(N, L)`` of a choice that ends at a candidate with a level."""
    best = gain.copy()
    for row, count in enumerate(above):
        if count:
            before = np.maximum.accumulate(best[:count].max(axis=0))[:-1]
            best[row, 1:] += np.maximum(before, 0.0)
    return best


def _walk(best: np.ndarray, above: np.ndarray) -> list[tuple[int, int]]:
    """Return candidates and levels of the best choice, from its end to its start."""
    nodes = []
    left = best
    while left.size and left.max() > 0:
        row, level = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        nodes.append((row, level))
        left = best[: above[row], :level]
    return nodes
