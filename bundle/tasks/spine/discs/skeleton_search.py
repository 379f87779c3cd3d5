"""The exact search of the skeleton: one candidate or none for every channel.

The original system takes, of all combinations of one candidate per channel, the one whose shape, with disc 0 as origin
and the distance of discs 0 and 4 as unit, is nearest to the mean (https://arxiv.org/abs/2108.06554, code): a product
loop of up to millions of combinations, and wrong where disc 0 or 4 is out of view. Once the two anchors are chosen, the
other discs do not depend on each other, so the optimum is found anchor pair by anchor pair (:func:`anchored_search`).

:func:`search_skeleton` allows any two discs as anchors, omits a disc where that costs less, requires that the discs
follow each other downward, and compares the distance of consecutive discs with the one that the prior expects. For each
pair of anchors, the best candidate of every channel that is in order with the anchors gives a lower bound of the cost.
The pairs of the lowest bounds are solved by a shortest path over the candidates in order of level. The others get a
higher bound, which includes the distances of discs of consecutive channels; it also limits how many channels in a row
may be without a disc. Those that may still be better than the best cost found are solved.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .neighbor_gaps import gap_precision
from .peak_candidates import Candidates
from .skeleton import SkeletonPrior
from .skeleton_problem import SkeletonProblem

CHUNK = 512
"""Maximum number of anchor pairs that are computed at once, which limits the memory."""

FIRST_BATCH = 8
"""Number of anchor pairs in the first batch, whose best cost limits the others."""

MISSING = 20.0
"""Default penalty of a channel without a disc."""

ROUNDING = 1e-9
"""Bounds up to this much above the best cost are still solved: sums in another order round differently."""


@dataclass(frozen=True)
class SkeletonMatch:
    """Result of the search.

    Attributes:
        choice: for every channel the index of its candidate, or None.
        cost: cost of the choice.
        scale: size relative to the mean body of the prior; None when fewer than two discs were found.
        anchors: channels of the two discs that define scale and translation; empty when fewer than two were found.

    Examples:
        >>> means = np.array([[0.0, 40.0], [0.0, 0.0], [0.0, -40.0]])
        >>> prior = SkeletonPrior((20, 21, 22), means, np.full((3, 2), 5.0), (1, 1, 1))
        >>> points = [[[50.0, 90.0]], [[20.0, 70.0], [51.0, 50.0]], [[49.0, 10.0]]]
        >>> candidates = [Candidates(np.array(places), np.ones(len(places))) for places in points]
        >>> search_skeleton(candidates, (20, 21, 22), prior).choice
        (0, 1, 0)
    """

    choice: tuple[int | None, ...]
    cost: float
    scale: float | None = None
    anchors: tuple[int, ...] = ()


def search_skeleton(
    candidates: Sequence[Candidates],
    levels: Sequence[int],
    prior: SkeletonPrior,
    *,
    scale_range: Sequence[float] | None = (0.6, 1.6),
    missing: float = MISSING,
    confidence_weight: float = 20.0,
    min_gap: float = 4.0,
    min_spread: float = 8.0,
    min_gap_spread: float = 3.0,
) -> SkeletonMatch:
    r"""Choose a candidate or none for every channel.

    A choice with two discs or more costs, for the best of its pairs of discs a < b as anchors, with
    :math:`s = |p_b - p_a| / |m_b - m_a|` and :math:`t = p_a - s m_a`,

    .. math:: \sum_{i\ \text{chosen}} \Big[\sum_{A, S} \Big(\frac{p_i - t - s m_i}{s \sigma_i}\Big)^2
              + w\,(1 - c_i)\Big] + \text{missing} \cdot \#\text{channels without a disc}
              + \sum_{i, j\ \text{consecutive}} \Big(\frac{|p_j - p_i| / s - |m_j - m_i|}{\tau_{ij}}\Big)^2,

    where the variance of a gap that skips levels is the sum of those of its gaps. It must have s in ``scale_range`` and
    each disc at least ``min_gap`` below the previous one, so no two discs share a position and no level is out of
    order. A single disc costs no distance; the result has no disc only if there is no
    candidate. With ``confidence_weight`` equal to ``missing``, a candidate is chosen while its squared distance is
    below ``missing * confidence``. The result is the optimum over all choices. Of equal ones a single disc is preferred
    (of the first channel), then the anchors that come first by the channel of the upper one, that of the lower one, and
    their candidates.

    Channels whose level is not in the prior get None and have no influence.

    Args:
        candidates: candidates per channel, their positions A and S in mm, S upward.
        levels: level value of every channel, ascending.
        prior: the mean skeleton m and its spread sigma.
        scale_range: smallest and largest scale s; None for any.
        missing: penalty of a channel without a disc.
        confidence_weight: weight w of ``1 - confidence``; 0 to ignore the confidence.
        min_gap: minimum distance in S, in mm, between two discs.
        min_spread: minimum value of sigma, in mm, as a prior of few cases underestimates the spread.
        min_gap_spread: minimum of the spread of the gap between neighbors, in mm. A prior without spreads of gaps has
            no term for them.

    Raises:
        ValueError: when there is not one level per channel, they are not ascending, or an option is out of range.
    """
    _check_options(scale_range, missing, confidence_weight, min_gap, min_spread, min_gap_spread)
    if len(levels) != len(candidates) or any(b <= a for a, b in itertools.pairwise(levels)):
        raise ValueError(
            f"the search needs an ascending level for each of {len(candidates)} channels, got {list(levels)}."
        )
    row_of = {value: row for row, value in enumerate(prior.levels)}
    used = [channel for channel, value in enumerate(levels) if value in row_of and len(candidates[channel])]
    covered = sum(value in row_of for value in levels)
    if not used:
        return SkeletonMatch((None,) * len(levels), missing * covered)
    rows = [row_of[levels[channel]] for channel in used]
    spread = np.maximum(prior.spread[rows], min_spread)
    problem = SkeletonProblem(
        [candidates[channel] for channel in used],
        prior.means[rows],
        spread,
        gap_precision(prior, rows, min_gap_spread),
        missing=missing,
        confidence_weight=confidence_weight,
        min_gap=min_gap,
    )
    cost, choice, scale, anchors = _solve(problem, scale_range)
    full: list[int | None] = [None] * len(levels)
    for channel, index in choice.items():
        full[used[channel]] = index
    return SkeletonMatch(tuple(full), cost + missing * covered, scale, tuple(used[channel] for channel in anchors))


def anchored_search(
    candidates: Sequence[np.ndarray], means: np.ndarray, *, anchors: tuple[int, int] = (0, 4)
) -> tuple[tuple[int, ...], float]:
    """Solve the search of the original exactly: Frobenius distance to the mean shape, two fixed anchors, none missing.

    Cost ``sqrt(sum_i |m_i - (p_i - p_0) / s|^2)`` with ``s = |p_0 - p_4|``; pairs of anchors with s = 0 are skipped. Of
    equal candidates the first one is taken.

    Args:
        candidates: positions ``(k, 2)`` per channel.
        means: mean shape ``(C, 2)`` in the same unit of origin and distance.
        anchors: channel of the origin and channel whose distance to it is the unit.

    Returns:
        The index of the chosen candidate of every channel, and the cost.

    Raises:
        ValueError: when a channel has no candidate, an anchor no channel, or all anchors have one position.
    """
    empty = [channel for channel, positions in enumerate(candidates) if not len(positions)]
    if empty or len(candidates) <= max(anchors):
        raise ValueError(
            f"channels {anchors} and all others need a candidate each; without one: {empty or 'the anchors'}."
        )
    origin, unit = (np.asarray(candidates[channel], dtype=float) for channel in anchors)
    between = unit[None] - origin[:, None]
    scale = np.linalg.norm(between, axis=-1)
    if not scale.any():
        raise ValueError("every candidate of one anchor lies on every candidate of the other, so there is no scale.")
    scale[scale == 0] = np.nan
    total = (means[anchors[0]] ** 2).sum() + ((means[anchors[1]] - between / scale[..., None]) ** 2).sum(-1)
    best = np.zeros((len(candidates), *scale.shape), dtype=int)
    best[anchors[0]], best[anchors[1]] = np.indices(scale.shape)
    for channel in set(range(len(candidates))) - set(anchors):
        moved = (np.asarray(candidates[channel], dtype=float)[:, None, None] - origin[:, None]) / scale[..., None]
        squares = ((means[channel] - moved) ** 2).sum(-1)
        best[channel] = squares.argmin(0)
        total += squares.min(0)
    pair = np.unravel_index(np.nanargmin(total), total.shape)
    choice = tuple(int(best[(channel, *pair)]) for channel in range(len(candidates)))
    return choice, float(np.sqrt(total[pair]))


def _solve(
    problem: SkeletonProblem, scale_range: Sequence[float] | None
) -> tuple[float, dict[int, int], float | None, tuple[int, ...]]:
    """Return the relative cost, the candidate of every channel that has one, the scale and the anchors."""
    single = int(problem.penalty.argmin())
    best, winner, chain = float(problem.penalty.flat[single]), -1, [single]
    pairs, scale = problem.pairs(scale_range)
    (bound,) = _in_chunks(lambda *part: (problem.bounds(*part),), pairs, scale)
    omitted = np.full(len(pairs), problem.channels)
    left = np.argsort(bound, kind="stable")
    size = FIRST_BATCH
    while len(left := left[bound[left] <= best + ROUNDING]):
        batch, left = np.sort(left[:size]), left[size:]
        paths, previous = problem.paths(pairs[batch], scale[batch], int(omitted[batch].max()))
        total = paths.min(0)
        first = int(total.argmin())
        if (total[first], batch[first]) < (best, winner):
            best, winner = float(total[first]), int(batch[first])
            chain = _trace(paths[:, first], previous[:, first])
        left = left[bound[left] <= best + ROUNDING]
        if size == FIRST_BATCH:
            bounds = partial(problem.gap_bounds, limit=best + ROUNDING)
            bound[left], omitted[left] = _in_chunks(bounds, pairs[left], scale[left])
            left = left[np.argsort(bound[left], kind="stable")]
        size = CHUNK
    choice = {n // problem.most: n % problem.most for n in chain}
    if winner < 0:
        return best, choice, None, ()
    return best, choice, float(scale[winner]), tuple(int(n) // problem.most for n in pairs[winner])


def _in_chunks(
    function: Callable[..., tuple[np.ndarray, ...]], pairs: np.ndarray, scale: np.ndarray
) -> list[np.ndarray]:
    """Return the results of a function of pairs and their scales."""
    starts = range(0, max(len(pairs), 1), CHUNK)
    parts = [function(pairs[start : start + CHUNK], scale[start : start + CHUNK]) for start in starts]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _trace(paths: np.ndarray, previous: np.ndarray) -> list[int]:
    """Return the nodes of the best chain of one pair of anchors, from its end to its start."""
    nodes = [int(paths.argmin())]
    while previous[nodes[-1]] >= 0:
        nodes.append(int(previous[nodes[-1]]))
    return nodes


def _check_options(
    scale_range: Sequence[float] | None,
    missing: float,
    confidence_weight: float,
    min_gap: float,
    min_spread: float,
    min_gap_spread: float,
) -> None:
    if scale_range is not None and not (len(scale_range) == 2 and 0 < scale_range[0] <= scale_range[1]):
        raise ValueError(f"scale_range must be a smallest and a largest scale above 0, or None, got {scale_range}.")
    if min(missing, confidence_weight, min_gap) < 0 or min(min_spread, min_gap_spread) <= 0:
        raise ValueError(
            "missing, confidence_weight and min_gap must not be negative, min_spread and min_gap_spread must be "
            f"positive, got {missing=}, {confidence_weight=}, {min_gap=}, {min_spread=}, {min_gap_spread=}."
        )
