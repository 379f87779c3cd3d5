"""A disc as a point in the world, and lists of discs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from bundle.utils.check_choice import check_choice
from bundle.utils.lengths import is_above

from .disc_errors import DiscFileError
from .levels import level_name, level_number, level_order

logger = logging.getLogger(__name__)

DiscPoint = Literal["posterior", "center"]
"""The points of a disc: its posterior tip in the mid-sagittal plane, or its center."""

POINTS = get_args(DiscPoint)

SAME_DISC = 6.0
"""Largest distance in mm of two points of one disc; neighboring discs of the neck are further apart."""


@dataclass(frozen=True)
class Disc:
    """An intervertebral disc, predicted or annotated.

    Attributes:
        value: its number, 1 to 25, or that of a disc next to T13 or L6 (:mod:`bundle.tasks.spine.discs.levels`).
        position: its posterior tip (or its center, where requested) in world mm, R, A, S.
        confidence: from 0 to 1; None for an annotated disc.

    Raises:
        ValueError: when the number is unknown, the position is not three finite numbers or the confidence is not
            between 0 and 1.

    Examples:
        >>> disc = Disc(3, (1.0, -20.5, 42.0), confidence=0.9)
        >>> disc.name
        'C2-C3'
    """

    value: int
    position: tuple[float, float, float]
    confidence: float | None = None

    def __post_init__(self) -> None:
        name = level_name(self.value)
        if len(self.position) != 3 or not all(math.isfinite(coordinate) for coordinate in self.position):
            raise ValueError(f"the position of {name} must be three finite numbers R, A, S, got {self.position!r}.")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"the confidence of {name} must be between 0 and 1, got {self.confidence!r}.")

    @property
    def name(self) -> str:
        """Name of the level, such as ``"C2-C3"``."""
        return level_name(self.value)


def one_per_level(discs: Iterable[Disc], *, source: object = "the points") -> list[Disc]:
    """Sort discs from head to foot by number; discs of the same number are replaced by their mean, with a warning.

    Args:
        discs: in any order.
        source: origin of the discs, for the warning.

    Raises:
        DiscFileError: when discs of the same number are more than :data:`SAME_DISC` apart.
    """
    groups: dict[int, list[Disc]] = {}
    for disc in discs:
        groups.setdefault(disc.value, []).append(disc)
    return [_mean(groups[value], source) for value in sorted(groups, key=level_order)]


def _mean(group: Sequence[Disc], source: object) -> Disc:
    first = group[0]
    if len(group) == 1:
        return first
    places = np.array([disc.position for disc in group])
    apart = float(np.linalg.norm(places[:, None] - places[None], axis=-1).max())
    if is_above(apart, SAME_DISC):
        problem = f"{first.name} occurs {len(group)} times, up to {apart:.1f} mm apart"
        raise DiscFileError(str(source), problem, "remove the wrong point, or correct its level")
    logger.warning(
        "%s: %s occurs %d times, up to %.1f mm apart; their mean is taken.", source, first.name, len(group), apart
    )
    given = [disc.confidence for disc in group if disc.confidence is not None]
    return Disc(first.value, point_of(places.mean(axis=0)), sum(given) / len(given) if given else None)


def out_of_order(discs: Sequence[Disc]) -> list[str]:
    """Return what contradicts the order of discs from head to foot, such as ``"L4-L5 above L3-L4"``.

    Args:
        discs: sorted by number.

    Examples:
        >>> out_of_order([Disc(23, (0, 0, -10)), Disc(24, (0, 0, 20)), Disc(25, (0, 0, -40))])
        ['L4-L5 above L3-L4']
    """
    return [
        f"{lower.name} above {upper.name}" for upper, lower in pairwise(discs) if lower.position[2] >= upper.position[2]
    ]


def from_array(points: np.ndarray | Sequence[Sequence[float]], *, source: object = "the points") -> list[Disc]:
    """Return the discs of an array ``(n, 4)``: value, R, A, S; sorted, one per number.

    Raises:
        ValueError: when the array has another shape, a value is not the number of a disc, or a coordinate is not
            finite.

    Examples:
        >>> [disc.name for disc in from_array([[4, 0.0, -20.0, 25.0], [3, 0.0, -20.5, 42.0]])]
        ['C2-C3', 'C3-C4']
    """
    rows = np.asarray(points, dtype=np.float64)
    rows = rows.reshape(0, 4) if rows.size == 0 else rows
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"{source}: discs must be an array (n, 4) of value, R, A, S, got the shape {rows.shape}.")
    if (rows[:, 0] != np.rint(rows[:, 0])).any():
        raise ValueError(f"{source}: numbers of discs must be integers, got {rows[:, 0].tolist()}.")
    return one_per_level((Disc(int(row[0]), point_of(row[1:])) for row in rows), source=source)


def to_array(discs: Iterable[Disc]) -> np.ndarray:
    """Return discs as a float64 array ``(n, 4)``: value, R, A, S."""
    rows = [(disc.value, *disc.position) for disc in discs]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 4)


def check_point(point: str) -> None:
    """Check the name of a point of a disc.

    Raises:
        ValueError: when it is none of :data:`POINTS`.
    """
    check_choice("point", point, POINTS)


def check_name(disc: Disc, name: str | None) -> Disc:
    """Check that the name in a file, if any, is that of the disc; return the disc.

    Raises:
        ValueError: when the name is that of another disc.
    """
    if name and level_number(name) != disc.value:
        raise ValueError(f"number {disc.value} is {disc.name}, not {name}")
    return disc


def point_of(coordinates: np.ndarray) -> tuple[float, float, float]:
    """Return an array of three coordinates as a position."""
    r, a, s = (float(coordinate) for coordinate in coordinates)
    return r, a, s
