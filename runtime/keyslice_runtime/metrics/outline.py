"""Measures of the region that a mask outlines: area, box, perimeter, irregularity of the border."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keyslice_runtime.utils.components import fill_holes, find_components


def outline_measures(mask: np.ndarray) -> dict[str, Any]:
    """Measure a mask ``(H, W)``.

    Returns:
        ``area_px``; ``area_share`` of the image; ``box`` of all regions, ``[x, y, width, height]`` in pixels from
        the upper left corner, None for an empty mask; ``regions``, the number of 8-connected ones; and, of the largest
        region with its holes filled, ``perimeter_px`` and ``border_irregularity``, its perimeter by that of its convex
        hull: 1 for a convex region, more the more the border is indented; NaN for an empty mask.
    """
    binary = np.asarray(mask, dtype=bool)
    area = int(binary.sum())
    found: dict[str, Any] = {"area_px": area, "area_share": area / binary.size}
    if not area:
        return {**found, "box": None, "regions": 0, "perimeter_px": 0.0, "border_irregularity": math.nan}
    box, part = crop(binary)
    regions = find_components(part, corners=True)
    largest = fill_holes(regions.mask(int(regions.sizes.argmax())))
    length = perimeter(largest)
    return {
        **found,
        "box": box,
        "regions": len(regions.sizes),
        "perimeter_px": length,
        "border_irregularity": length / perimeter(convex_hull(largest)),
    }


def one_region(mask: np.ndarray) -> np.ndarray:
    """Return the largest 8-connected region of a mask ``(H, W)`` with its holes filled, as boolean mask."""
    binary = np.asarray(mask, dtype=bool)
    if not binary.any():
        return binary.copy()
    (x, y, width, height), part = crop(binary)
    regions = find_components(part, corners=True)
    result = np.zeros_like(binary)
    result[y : y + height, x : x + width] = fill_holes(regions.mask(int(regions.sizes.argmax())))
    return result


def crop(binary: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return the box ``[x, y, width, height]`` of a mask that is not empty, and the mask within it."""
    rows, columns = (np.flatnonzero(binary.any(axis=axis)) for axis in (1, 0))
    x, y = int(columns[0]), int(rows[0])
    width, height = int(columns[-1]) - x + 1, int(rows[-1]) - y + 1
    return [x, y, width, height], binary[y : y + height, x : x + width]


def perimeter(mask: np.ndarray) -> float:
    """Return the length of the border of a mask ``(H, W)`` by the formula of Cauchy and Crofton in four directions.

    The length is half the integral, over all lines, of how often a line crosses the border. Rows and columns are lines
    at a distance of 1, diagonals at 1/sqrt(2). A disc is measured to about 1 %; an upright rectangle comes out 5 % too
    short, a small one a little more.
    """
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    straight = [(padded[1:] != padded[:-1]).sum(), (padded[:, 1:] != padded[:, :-1]).sum()]
    diagonal = [(padded[1:, 1:] != padded[:-1, :-1]).sum(), (padded[1:, :-1] != padded[:-1, 1:]).sum()]
    return float(math.pi / 8 * (sum(straight) + sum(diagonal) / math.sqrt(2)))


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """Return the mask of all pixels whose centers lie in the convex hull of those of a mask that is not empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask.argmax(axis=1)[rows]
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)[rows]
    between = np.arange(rows[0], rows[-1] + 1)
    left = np.interp(between, *_lower_chain(rows, first))
    right = -np.interp(between, *_lower_chain(rows, -last))
    columns = np.arange(mask.shape[1])
    hull = np.zeros_like(mask)
    hull[between] = (columns >= left[:, None] - 1e-9) & (columns <= right[:, None] + 1e-9)
    return hull


def _lower_chain(x: np.ndarray, y: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the lower convex chain of points with increasing ``x`` (Andrew's monotone chain)."""
    chain: list[tuple[int, int]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(chain) > 1 and _turns_up(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return [column for column, _ in chain], [row for _, row in chain]


def _turns_up(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
