"""Moving the candidates of a level to the nearest disc of any level, and sharing them with the next levels.

A network that is uncertain about the level of a disc responds on one channel at two neighboring discs. Where these are
close to each other, as in the neck, the two responses merge into one peak between the discs. The sum over the channels
has one full peak per disc, whatever the uncertainty: its peaks give the positions, the channels give the levels. Where
the network is certain, the peak of a level is that of a single disc, and more exact than the sum, in which the
responses to close discs overlap.

Where the network is off by one level in a part of the spine, the disc of a level has a peak on the next channel alone.
Shared candidates let the search correct this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bundle.utils.lengths import is_at_most

from .peak_candidates import Candidates


def snap_candidates(
    candidates: Sequence[Candidates],
    places: Candidates,
    *,
    reach: float,
    movable: Sequence[np.ndarray] | None = None,
) -> list[Candidates]:
    """Move candidates to the nearest peak of the sum, if one is within ``reach``.

    Of the candidates of a level that move to the same peak, the most confident one is kept.

    Args:
        candidates: candidates per channel.
        places: peaks of the sum over the channels, in the unit of the candidates.
        reach: largest distance by which a candidate is moved, in that unit.
        movable: per channel ``(k,)`` whether a candidate may be moved; None for all.

    Returns:
        Candidates per channel, the most confident first.

    Raises:
        ValueError: when ``reach`` is negative.
    """
    if reach < 0:
        raise ValueError(f"reach must be 0 or more, got {reach}.")
    if not len(places):
        return list(candidates)
    allowed = [np.ones(len(found), dtype=bool) for found in candidates] if movable is None else movable
    return [_snap(found, places.positions, reach, may) for found, may in zip(candidates, allowed, strict=True)]


def share_candidates(
    candidates: Sequence[Candidates], response: Callable[[int, np.ndarray], np.ndarray], *, distance: float
) -> list[Candidates]:
    """Add the candidates of the channels above and below to those of every channel.

    Args:
        candidates: candidates per channel.
        response: function of a channel and positions ``(n, 2)`` that returns the confidence ``(n,)`` of that channel.
        distance: candidates nearer than this to one of the channel are not added.

    Returns:
        Candidates per channel, first its own, the most confident first.
    """
    shared = []
    for channel, found in enumerate(candidates):
        near = [candidates[other] for other in (channel - 1, channel + 1) if 0 <= other < len(candidates)]
        kept = list(found.positions)
        for place in np.concatenate([each.positions for each in near]):
            if all(np.linalg.norm(place - other) >= distance for other in kept):
                kept.append(place)
        added = np.array(kept[len(found) :]).reshape(-1, 2)
        confidence = response(channel, added) if len(added) else np.zeros(0)
        order = np.argsort(-confidence, kind="stable")
        shared.append(
            Candidates(np.concatenate([found.positions, added[order]]), np.append(found.confidence, confidence[order]))
        )
    return shared


def _snap(found: Candidates, places: np.ndarray, reach: float, movable: np.ndarray) -> Candidates:
    distance = np.linalg.norm(found.positions[:, None] - places[None], axis=2)
    nearest = distance.argmin(axis=1)
    near = is_at_most(distance[np.arange(len(found)), nearest], reach) & movable
    positions = np.where(near[:, None], places[nearest], found.positions)
    first = [
        number
        for number in range(len(found))
        if not near[number] or nearest[number] not in nearest[:number][near[:number]]
    ]
    return Candidates(positions[first], found.confidence[first])
