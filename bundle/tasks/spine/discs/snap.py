"""Moving of a level's candidates to where there is a disc of some level.

A network in doubt about the level, but not about the discs, answers on a channel at two neighboring discs. Close to
each other, as in the neck, the two answers merge into one peak between the discs. Summed over the channels they are one
full answer a disc, whatever the doubt: the peaks of the sum are the places, the channels tell the levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .peak_candidates import Candidates


def snap_candidates(candidates: Sequence[Candidates], places: Candidates, *, reach: float) -> list[Candidates]:
    """Move every candidate to the nearest place, if one lies within ``reach``.

    Of the candidates of a level that come to one place, the most confident stays.

    Args:
        candidates: candidates a channel.
        places: peaks of the sum over the channels, in the unit of the candidates.
        reach: largest distance that a candidate is moved by, in that unit.

    Returns:
        Candidates a channel, the most confident first.

    Raises:
        ValueError: when ``reach`` is negative.
    """
    if reach < 0:
        raise ValueError(f"reach must be 0 or more, got {reach}.")
    if not len(places):
        return list(candidates)
    return [_snapped(found, places.positions, reach) for found in candidates]


def _snapped(found: Candidates, places: np.ndarray, reach: float) -> Candidates:
    distance = np.linalg.norm(found.positions[:, None] - places[None], axis=2)
    nearest = distance.argmin(axis=1)
    near = distance[np.arange(len(found)), nearest] <= reach
    positions = np.where(near[:, None], places[nearest], found.positions)
    first = [
        number
        for number in range(len(found))
        if not near[number] or nearest[number] not in nearest[:number][near[:number]]
    ]
    return Candidates(positions[first], found.confidence[first])
