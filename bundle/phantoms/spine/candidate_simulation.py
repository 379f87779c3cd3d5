"""Candidate points as the heat maps of a spine would give them: discs, some of them missed, and false ones.

Sets of candidates for :class:`bundle.networks.CandidateNet` are drawn from the true discs of spines. The "look once"
paper (Azad et al., https://arxiv.org/abs/2204.02943) draws noise around the discs of whole images; here, a set shows
any part of a spine, turned and scaled, and has the mistakes that maps make: points between two discs or in front of
one, doubles, and strays.

The scores stand for the values of all levels' maps at a candidate. A network that believes a level with the probability
p answers with (1 + g) p / (1 + g p), which minimizes the expected squared error where cells of a landmark weigh 1 + g
(:class:`bundle.losses.HeatmapLoss`, ``foreground``). What it believes is a hill over the levels, as wide as it is
unsure. The hill's middle is off by an error that is common to all discs of a set, since they are counted from each
other, and by one of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class CandidateOptions:
    """How candidates are drawn; where two numbers stand, every set draws its own between them.

    Attributes:
        least: fewest discs in view, where the spine has them.
        rotation: largest turn in the sagittal plane to either side, in degrees.
        scale: standard deviation of the logarithm of the size.
        jitter: standard deviation of the place of a disc, in mm.
        missing: share of the discs in view that have no candidate.
        neighbors: mean number of false candidates between two discs or in front of one.
        doubles: mean number of second candidates of a disc.
        strays: mean number of false candidates anywhere around.
        double_mm: distance of a double from its disc.
        margin_mm: how far around the discs strays lie.
        level_spread: width of the scores over the levels (a standard deviation), drawn on a logarithmic scale.
        common_error: standard deviation of the error that all candidates' scores share, as a part of their width.
        own_error: that of every candidate's own error, as a part of it.
        foreground: additional weight g of the cells of a landmark in the training of the maps, drawn as the logarithm
            of 1 + g.
        noise: standard deviation of what the scores say without reason.

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
                raise ValueError(f"{field.name} must be two numbers of 0 or more that rise, got {list(value)}.")
        if not self.level_spread[0] > 0:
            raise ValueError(f"level_spread must be positive, got {list(self.level_spread)}.")
        if self.missing[1] > 1:
            raise ValueError(f"missing must lie in [0, 1], got {list(self.missing)}.")


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates in random order.

    Attributes:
        places: ``(N, 2)`` A and S in mm.
        classes: ``(N,)`` number of the level from 0 on, or the number of levels for "none".
        scores: ``(N, L)`` from 0 to 1, what the maps of the levels say at each.
    """

    places: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def draw_candidates(
    rng: np.random.Generator, spine: np.ndarray, levels: Sequence[int], options: CandidateOptions | None = None
) -> CandidateSet:
    """Draw a set of candidates of one spine.

    Args:
        rng: the only source of chance.
        spine: points ``(n, 4)`` of value, R, A, S in mm; one with a value of ``levels`` or more.
        levels: values of the discs, rising by one.
        options: how; None for the defaults.

    Raises:
        ValueError: when the spine shows none of the levels.
    """
    options = CandidateOptions() if options is None else options
    kept = spine[np.isin(spine[:, 0].round(), levels)]
    if not len(kept):
        raise ValueError(f"the spine has no disc of the levels {levels[0]} to {levels[-1]}.")
    kept = kept[np.argsort(kept[:, 0])]
    discs = _turned(rng, kept[:, 2:], options)
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


def _turned(rng: np.random.Generator, places: np.ndarray, options: CandidateOptions) -> np.ndarray:
    angle = np.deg2rad(rng.uniform(-options.rotation, options.rotation))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.exp(rng.normal(0, options.scale)) * places @ turn.T


def _field_of_view(rng: np.random.Generator, count: int, least: int) -> slice:
    """Draw which of the discs are in view, at least ``least`` that follow each other."""
    length = int(rng.integers(min(least, count), count + 1))
    start = int(rng.integers(count - length + 1))
    return slice(start, start + length)


def _false_places(rng: np.random.Generator, discs: np.ndarray, options: CandidateOptions) -> np.ndarray:
    """Draw false candidates ``(m, 2)``: between discs or in front of them, beside them, and anywhere around."""
    neighbors, doubles, strays = (
        int(rng.poisson(rng.uniform(*bounds))) for bounds in (options.neighbors, options.doubles, options.strays)
    )
    near = rng.integers(len(discs), size=neighbors)
    next_one = np.minimum(near + 1, len(discs) - 1)
    between = (discs[near] + discs[next_one]) / 2 + rng.normal(0, 3, (neighbors, 2))
    front = discs[near] + np.column_stack([rng.uniform(15, 40, neighbors), rng.normal(0, 5, neighbors)])
    in_front = (rng.uniform(size=neighbors) < 0.5) | (near == next_one)
    angle, far = rng.uniform(0, 2 * np.pi, doubles), rng.uniform(*options.double_mm, doubles)
    beside = (
        discs[rng.integers(len(discs), size=doubles)] + np.column_stack([np.cos(angle), np.sin(angle)]) * far[:, None]
    )
    low, high = discs.min(0) - options.margin_mm, discs.max(0) + options.margin_mm
    return np.concatenate([np.where(in_front[:, None], front, between), beside, rng.uniform(low, high, (strays, 2))])


def _levels_at(places: np.ndarray, discs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the levels, with fractions, that lie at the height of places."""
    return np.interp(-places[:, 1], -discs[:, 1], values)


def _scores(
    rng: np.random.Generator, about: np.ndarray, heights: np.ndarray, count: int, options: CandidateOptions
) -> np.ndarray:
    """Draw the scores ``(N, count)`` of candidates around the levels ``about``."""
    spread = np.exp(rng.uniform(*np.log(options.level_spread)))
    common, own, noise = (rng.uniform(*bounds) for bounds in (options.common_error, options.own_error, options.noise))
    weight = np.exp(rng.uniform(*np.log1p(options.foreground)))
    told = about + spread * (rng.normal(0, common) + rng.normal(0, own, len(about)))
    belief = np.exp(-0.5 * ((np.arange(count) - told.clip(0, count - 1)[:, None]) / spread) ** 2)
    belief /= belief.sum(1, keepdims=True)
    answer = weight * belief / (1 + (weight - 1) * belief)
    return np.clip(heights[:, None] * answer + rng.normal(0, noise, belief.shape), 0.0, 1.0)
