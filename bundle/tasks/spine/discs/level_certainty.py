"""How certain the numbering of the discs of an image is.

The cost of the best answer is compared with that of the best answer whose discs are all one level higher, or lower. An
image without an end of the spine leaves only the shape of the vertebrae to decide. A spine with another number of
vertebrae fits a prior with that number better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from .peak_candidates import Candidates
from .skeleton import SkeletonPrior
from .skeleton_search import MISSING, SkeletonMatch, search_skeleton

TEMPERATURE = 15.0
"""Difference of the cost that changes the odds of a numbering by the factor e."""

MIN_PROBABILITY = 0.8
"""Smallest probability of a certain numbering; set on the training exams and phantoms."""

VARIANT_MARGIN = 8.0
"""A spine with another number of vertebrae is reported if it costs less than the expected one by this much."""

HIGHEST_END, LOWEST_END = 3, 25
"""Discs of an end of the spine: up to C2-C3, and L5-S1."""

VARIANTS = {
    "4 lumbar vertebrae (such as a sacralized L5)": {"lumbar": 4},
    "6 lumbar vertebrae (such as a lumbarized S1)": {"lumbar": 6},
    "11 thoracic vertebrae": {"thoracic": 11},
    "13 thoracic vertebrae (T13)": {"thoracic": 13},
}
"""Numbers of vertebrae that are compared with the expected ones, by name."""

Response = Callable[[int, np.ndarray], np.ndarray]
"""Function of a channel and positions ``(n, 2)`` that returns the confidence ``(n,)`` of that channel."""


@dataclass(frozen=True)
class LevelCertainty:
    """Certainty of a numbering.

    Attributes:
        probability: that the levels are right, against the best numbering in which all differ.
        reasons: why the numbering is uncertain; empty for a certain one.
        vertebrae: number of ``thoracic`` and ``lumbar`` vertebrae with which the discs are numbered.

    Examples:
        >>> LevelCertainty(0.97).status
        'certain'
    """

    probability: float
    reasons: tuple[str, ...] = ()
    vertebrae: Mapping[str, int] = field(default_factory=dict)

    @property
    def status(self) -> Literal["certain", "uncertain"]:
        """Whether the numbering is certain."""
        return "uncertain" if self.reasons else "certain"

    def describe(self) -> dict[str, Any]:
        """Return the entries of the JSON of a case."""
        return {
            "numbering": self.status,
            "numbering_probability": round(self.probability, 4),
            "numbering_reasons": list(self.reasons),
        }


def number_discs(
    candidates: Sequence[Candidates],
    levels: Sequence[int],
    prior: SkeletonPrior,
    response: Response,
    *,
    expected: Mapping[str, int] | None = None,
    **search: Any,
) -> tuple[SkeletonMatch, LevelCertainty | None]:
    """Search the discs, and assess the levels found.

    A spine that another number of vertebrae fits clearly better is numbered with that one, and reported as uncertain.

    Args:
        candidates: candidates per channel.
        levels: level value of every channel.
        prior: prior of a spine with 12 thoracic and 5 lumbar vertebrae.
        response: confidence of a channel at positions.
        expected: number of ``thoracic`` and ``lumbar`` vertebrae; None for 12 and 5.
        search: options of :func:`.skeleton_search.search_skeleton`.

    Returns:
        The result of the search, whose cost is relative to an image without discs, and its certainty, None without a
        disc.
    """
    counts = {"thoracic": 12, "lumbar": 5, **(expected or {})}

    def find(found: Sequence[Candidates], change: Mapping[str, int]) -> SkeletonMatch:
        changed = prior.with_counts(**{**counts, **change})
        without_disc = search.get("missing", MISSING) * len(set(levels) & set(changed.levels))
        match = search_skeleton(found, levels, changed, **search)
        return replace(match, cost=match.cost - without_disc)

    match, reasons = find(candidates, {}), []
    change: Mapping[str, int] = {}
    for name, other in VARIANTS.items():
        if counts | other != counts:
            found = find(candidates, other)
            if found.cost < match.cost - (0.0 if change else VARIANT_MARGIN):
                match, change = found, other
                reasons = [f"numbered with {name}, which fit better"]
    places = {channel: candidates[channel].positions[k] for channel, k in enumerate(match.choice) if k is not None}
    if not places:
        return match, None
    shifted = np.array([find(_shift(candidates, places, step, response), change).cost for step in (-1, 1)])
    probability = float(1 / (1 + np.exp((match.cost - shifted) / TEMPERATURE).sum()))
    certainty = certainty_of([levels[channel] for channel in places], probability, reasons)
    return match, replace(certainty, vertebrae={**counts, **change})


def certainty_of(values: Sequence[int], probability: float, reasons: Sequence[str] = ()) -> LevelCertainty:
    """Return the certainty of levels.

    Args:
        values: the levels found, one or more.
        probability: that they are right, against the best other numbering.
        reasons: further reasons against it.
    """
    found = list(reasons)
    if min(values) > HIGHEST_END and max(values) < LOWEST_END:
        found.append("no end of the spine in view (neither C2-C3 nor L5-S1)")
    if probability < MIN_PROBABILITY:
        found.append("another numbering is nearly as likely")
    return LevelCertainty(probability, tuple(found))


def _shift(
    candidates: Sequence[Candidates], places: Mapping[int, np.ndarray], step: int, response: Response
) -> list[Candidates]:
    """Return candidates in which every chosen place has only the level ``step`` below the chosen one."""
    taken = np.array(list(places.values()))
    result = []
    for channel, found in enumerate(candidates):
        free = [bool((np.linalg.norm(taken - place, axis=1) > 0).all()) for place in found.positions]
        positions, confidence = found.positions[free], found.confidence[free]
        if channel - step in places:
            place = places[channel - step][None]
            positions = np.concatenate([positions, place])
            confidence = np.append(confidence, response(channel, place))
        result.append(Candidates(positions, confidence))
    return result
