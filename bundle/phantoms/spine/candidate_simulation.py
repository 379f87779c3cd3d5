"""Simulated candidate points of the heat maps of a spine: discs, some of them missing, and false candidates.

Sets of candidates for :class:`bundle.networks.CandidateNet` are drawn from the reference discs of spines. The "look
once" paper (Azad et al., https://arxiv.org/abs/2204.02943) adds noise to the discs of complete images; here, a set
shows any part of a spine, rotated and scaled, with the errors of heat maps: points between two discs or in front of
one, duplicates, and stray points.

The scores simulate the values of the maps of all levels at a candidate. For a level of probability p, the response that
minimizes the expected squared error is (1 + g) p / (1 + g p) where cells of a landmark have the weight 1 + g
(:class:`bundle.losses.HeatmapLoss`, ``foreground``). The probabilities are a Gaussian over the levels whose width is
the uncertainty. Its center has an error that is common to all discs of a set, since they are counted from each other,
and an individual one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class CandidateOptions:
    """Options of the simulation; of two numbers, every set draws a value between them.

    Attributes:
        least: minimum number of discs in view, if the spine has as many.
        rotation: largest rotation in the sagittal plane in either direction, in degrees.
        scale: standard deviation of the logarithm of the size.
        jitter: standard deviation of the position of a disc, in mm.
        missing: fraction of the discs in view without a candidate.
        neighbors: mean number of false candidates between two discs or in front of one.
        doubles: mean number of duplicates of a disc.
        strays: mean number of stray points.
        double_mm: distance of a duplicate to its disc.
        margin_mm: margin around the discs in which stray points are drawn.
        level_spread: width of the scores over the levels (a standard deviation), drawn on a logarithmic scale.
        common_error: standard deviation of the common error of all scores, relative to their width.
        own_error: standard deviation of the individual error of a candidate, relative to the width.
        foreground: additional weight g of the cells of a landmark in the training of the maps, drawn as the logarithm
            of 1 + g.
        noise: standard deviation of the noise of the scores.

    Raises:
        ValueError: when a number is out of range; the message starts with its name.
    """

    least: int = 3
    rotation: float = 12.0
    scale: float = 0.06
    jitter: tuple[float, float] = (0.3, 2.5)
    missing: tuple[float, float] = (0.0, 0.25)
    neighbors: tuple[float, float] = (0.0, 4.0)
    doubles: tuple[float, float] = (0.0, 2.0)
    strays: tuple[float, float] = (0.0, 5.0)
    double_mm: tuple[float, float] = (9.0, 18.0)
    margin_mm: float = 50.0
    level_spread: tuple[float, float] = (0.15, 1.2)
    common_error: tuple[float, float] = (0.3, 1.0)
    own_error: tuple[float, float] = (0.1, 0.6)
    foreground: tuple[float, float] = (0.0, 50.0)
    noise: tuple[float, float] = (0.01, 0.1)

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError(f"least must be 1 or more, got {self.least}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, Sequence):
                if not value >= 0:
                    raise ValueError(f"{field.name} must be 0 or more, got {value}.")
            elif len(value) != 2 or not 0 <= value[0] <= value[1]:
                raise ValueError(f"{field.name} must be two increasing numbers of 0 or more, got {list(value)}.")
        if not self.level_spread[0] > 0:
            raise ValueError(f"level_spread must be positive, got {list(self.level_spread)}.")
        if self.missing[1] > 1:
            raise ValueError(f"missing must lie in [0, 1], got {list(self.missing)}.")


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates in random order.

    Attributes:
        places: ``(N, 2)`` A and S in mm.
        classes: ``(N,)`` index of the level, or the number of levels for "none".
        scores: ``(N, L)`` from 0 to 1, values of the maps of the levels.
    """

    places: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def draw_candidates(
    rng: np.random.Generator, spine: np.ndarray, levels: Sequence[int], options: CandidateOptions | None = None
) -> CandidateSet:
    """Draw a set of candidates of one spine.

    Args:
        rng: random generator.
        spine: points ``(n, 4)`` of value, R, A, S in mm; one or more with a value of ``levels``.
        levels: values of the discs, increasing by one.
        options: options of the simulation; None for the defaults.

    Raises:
        ValueError: when the spine shows none of the levels.
    """
    options = CandidateOptions() if options is None else options
    kept = spine[np.isin(spine[:, 0].round(), levels)]
    if not len(kept):
        raise ValueError(f"the spine has no disc of the levels {levels[0]} to {levels[-1]}.")
    kept = kept[np.argsort(kept[:, 0])]
    discs = _rotate_and_scale(rng, kept[:, 2:], options)
    values = kept[:, 0].round().astype(int) - levels[0]
    view = _field_of_view(rng, len(kept), options.least)
    discs, values = discs[view], values[view]
    false = _false_places(rng, discs, options)
    shown = rng.uniform(size=len(discs)) >= rng.uniform(*options.missing)
    shown[rng.integers(len(discs))] = True
    jitter = rng.normal(0, rng.uniform(*options.jitter), (int(shown.sum()), 2))
    places = np.concatenate([discs[shown] + jitter, false])
    classes = np.concatenate([values[shown], np.full(len(false), len(levels))])
    about = np.concatenate([values[shown].astype(float), _levels_at(false, discs, values)])
    heights = np.concatenate([rng.uniform(0.4, 1.0, int(shown.sum())), rng.uniform(0.2, 0.7, len(false))])
    scores = _scores(rng, about, heights, len(levels), options)
    order = rng.permutation(len(places))
    return CandidateSet(places[order], classes[order], scores[order])


def _rotate_and_scale(rng: np.random.Generator, places: np.ndarray, options: CandidateOptions) -> np.ndarray:
    angle = np.deg2rad(rng.uniform(-options.rotation, options.rotation))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.exp(rng.normal(0, options.scale)) * places @ turn.T


def _field_of_view(rng: np.random.Generator, count: int, least: int) -> slice:
    """Draw the range of the discs in view, at least ``least`` of them."""
    length = int(rng.integers(min(least, count), count + 1))
    start = int(rng.integers(count - length + 1))
    return slice(start, start + length)


def _false_places(rng: np.random.Generator, discs: np.ndarray, options: CandidateOptions) -> np.ndarray:
    """Draw false candidates ``(m, 2)``: between or in front of discs, next to discs, and anywhere around."""
    neighbors, doubles, strays = (
        int(rng.poisson(rng.uniform(*bounds))) for bounds in (options.neighbors, options.doubles, options.strays)
    )
    near = rng.integers(len(discs), size=neighbors)
    next_one = np.minimum(near + 1, len(discs) - 1)
    between = (discs[near] + discs[next_one]) / 2 + rng.normal(0, 3, (neighbors, 2))
    front = discs[near] + np.column_stack([rng.uniform(15, 40, neighbors), rng.normal(0, 5, neighbors)])
    in_front = (rng.uniform(size=neighbors) < 0.5) | (near == next_one)
    angle, far = rng.uniform(0, 2 * np.pi, doubles), rng.uniform(*options.double_mm, doubles)
    duplicates = (
        discs[rng.integers(len(discs), size=doubles)] + np.column_stack([np.cos(angle), np.sin(angle)]) * far[:, None]
    )
    low, high = discs.min(0) - options.margin_mm, discs.max(0) + options.margin_mm
    return np.concatenate(
        [np.where(in_front[:, None], front, between), duplicates, rng.uniform(low, high, (strays, 2))]
    )


def _levels_at(places: np.ndarray, discs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the levels, with fractions, at the height of places."""
    return np.interp(-places[:, 1], -discs[:, 1], values)


def _scores(
    rng: np.random.Generator, about: np.ndarray, heights: np.ndarray, count: int, options: CandidateOptions
) -> np.ndarray:
    """Draw the scores ``(N, count)`` of candidates around the levels ``about``."""
    spread = np.exp(rng.uniform(*np.log(options.level_spread)))
    common, own, noise = (rng.uniform(*bounds) for bounds in (options.common_error, options.own_error, options.noise))
    weight = np.exp(rng.uniform(*np.log1p(options.foreground)))
    center = about + spread * (rng.normal(0, common) + rng.normal(0, own, len(about)))
    probability = np.exp(-0.5 * ((np.arange(count) - center.clip(0, count - 1)[:, None]) / spread) ** 2)
    probability /= probability.sum(1, keepdims=True)
    response = weight * probability / (1 + (weight - 1) * probability)
    return np.clip(heights[:, None] * response + rng.normal(0, noise, probability.shape), 0.0, 1.0)
