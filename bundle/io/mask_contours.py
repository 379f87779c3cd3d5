"""Contours of 2D masks along the edges of their pixels, so that area and pixels are those of the mask.

They run :data:`INSET` of a pixel inside the edges: a point in the middle between two centers is rounded by programs
that draw contours with OpenCV, such as rt-utils 1.2.7, which makes every structure half a pixel larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

INSET = 1e-3
"""Distance of the contours from the edges, in pixels."""

Point = tuple[int, int]
"""Corner of pixels: column and row; pixel ``(0, 0)`` has the corners 0 and 1."""

Edge = tuple[Point, Point]
"""Edge of a pixel: where it starts, and its direction. The mask is on its right, with rows downwards."""


def mask_contours(mask: np.ndarray) -> list[np.ndarray]:
    """Return the closed contours of a mask, one for every part whose pixels share edges.

    A hole is joined to the contour around it by a channel without width (DICOM PS3.3 C.8.8.6.3, keyhole), so that
    programs that fill every contour keep it.

    Args:
        mask: boolean mask ``(rows, columns)``.

    Returns:
        Points ``(N, 2)`` of every contour, column and row, in pixels; centers of pixels have whole numbers.

    Examples:
        >>> mask_contours(np.eye(1, dtype=bool))[0].tolist()
        [[-0.499, -0.499], [0.499, -0.499], [0.499, 0.499], [-0.499, 0.499]]
    """
    rings = _trace(_edges(mask))
    outer = [ring for ring in rings if _area(ring) > 0]
    _join_holes(outer, [ring for ring in rings if _area(ring) < 0])
    return [_corners(ring) - 0.5 for ring in outer]


def fill_contours(contours: Sequence[np.ndarray]) -> np.ndarray:
    """Return the pixels whose centers are within an odd number of contours; a contour within another is a hole.

    Args:
        contours: points ``(N, 2)`` of every contour, in pixels.

    Returns:
        The pixels ``(N, 2)``.

    Examples:
        >>> fill_contours([np.array([[-0.5, 1.5], [0.5, 1.5], [0.5, 3.5], [-0.5, 3.5]])]).tolist()
        [[0, 2], [0, 3]]
    """
    start = np.floor(np.min([points.min(axis=0) for points in contours], axis=0)).astype(int)
    stop = np.ceil(np.max([points.max(axis=0) for points in contours], axis=0)).astype(int)
    crossings = np.zeros(stop - start + 1, int)
    for points in contours:
        for (x, y), (u, v) in pairwise(np.concatenate([points, points[:1]]) - start):
            lines = np.arange(np.ceil(min(y, v)), np.ceil(max(y, v)))
            if len(lines):
                np.add.at(crossings, (np.ceil(x + (lines - y) * (u - x) / (v - y)).astype(int), lines.astype(int)), 1)
    return np.argwhere(np.cumsum(crossings, axis=0) % 2) + start


def _edges(mask: np.ndarray) -> dict[Edge, None]:
    """Return the edges between the mask and the rest, in an order that does not change."""
    padded = np.pad(mask, 1)
    sides: list[tuple[np.ndarray, Point, Point]] = [
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    ]
    edges: dict[Edge, None] = {}
    for neighbor, (x, y), direction in sides:
        for row, column in np.argwhere(mask & ~neighbor).tolist():
            edges[(column + x, row + y), direction] = None
    return edges


def _trace(edges: dict[Edge, None]) -> list[list[Point]]:
    """Return the closed lines of edges. Where two lines cross, each turns right, which keeps it at its pixel."""
    rings: list[list[Point]] = []
    remaining = dict(edges)
    while remaining:
        first = edge = next(iter(remaining))
        ring: list[Point] = []
        while not ring or edge != first:
            del remaining[edge]
            (x, y), (dx, dy) = edge
            ring.append((x, y))
            end = (x + dx, y + dy)
            edge = next((end, turn) for turn in ((-dy, dx), (dx, dy), (dy, -dx)) if (end, turn) in edges)
        rings.append(ring)
    return rings


def _area(ring: list[Point]) -> int:
    """Return twice the area within a line, negative for a hole."""
    return sum(x * v - u * y for (x, y), (u, v) in pairwise([*ring, ring[0]]))


def _join_holes(outer: list[list[Point]], holes: list[list[Point]]) -> None:
    """Join every hole to the line on its left, in place; holes further left are joined first."""
    owners = {point: index for index, ring in enumerate(outer) for point in ring}
    for hole in sorted(holes, key=min):
        start = hole.index(min(hole))
        x, y = hole[start]
        hit = next((left, y) for left in range(x - 1, -1, -1) if (left, y) in owners)
        ring = outer[owners[hit]]
        place = ring.index(hit) + 1
        ring[place:place] = [*hole[start:], *hole[: start + 1], hit]
        owners.update(dict.fromkeys(hole, owners[hit]))


def _corners(ring: list[Point]) -> np.ndarray:
    """Return the points at which a line changes its direction, moved from both lines into the mask."""
    points = np.array(ring)
    after = np.sign(np.roll(points, -1, axis=0) - points)
    before = np.roll(after, 1, axis=0)
    inside = (before + after)[:, ::-1] * (-1, 1)
    turns = (after != before).any(axis=1)
    return points[turns] + INSET * inside[turns]
