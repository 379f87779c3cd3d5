"""Area, box, perimeter and irregularity of shapes that are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import ConvexHull, Delaunay

from bundle.metrics import outline_measures
from bundle.metrics.outline import convex_hull, one_region, perimeter

ROWS, COLUMNS = np.mgrid[:128, :160]


def disc(row: float = 64, column: float = 80, radius: float = 40) -> np.ndarray:
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 < radius**2


def star(depth: float, spikes: int = 7) -> np.ndarray:
    angle = np.arctan2(ROWS - 64, COLUMNS - 80)
    return np.hypot(ROWS - 64, COLUMNS - 80) < 45 * (1 + depth * np.sin(spikes * angle))


@pytest.mark.parametrize("radius", [10, 25, 40])
def test_the_perimeter_of_a_disc_is_that_of_a_circle(radius: float) -> None:
    assert perimeter(disc(radius=radius)) == pytest.approx(2 * math.pi * radius, rel=0.02)


def test_a_perimeter_counts_holes_and_the_border_of_the_image() -> None:
    ring = disc() & ~disc(radius=20)
    assert perimeter(ring) == pytest.approx(2 * math.pi * 60, rel=0.02)
    assert perimeter(np.ones((30, 50), bool)) == pytest.approx(160, rel=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_the_hull_is_that_of_qhull(seed: int) -> None:
    mask = np.random.default_rng(seed).random((30, 40)) < 0.02
    points = np.argwhere(mask)
    inside = Delaunay(points[ConvexHull(points).vertices]).find_simplex(np.argwhere(np.ones_like(mask))) >= 0
    np.testing.assert_array_equal(convex_hull(mask), inside.reshape(mask.shape))


def test_convex_regions_have_a_regular_border() -> None:
    tilted = np.abs(0.6 * (ROWS - 64) + 0.8 * (COLUMNS - 80)) + np.abs(0.8 * (ROWS - 64) - 0.6 * (COLUMNS - 80)) < 40
    pixel = np.zeros((5, 5), bool)
    pixel[2, 3] = True
    for mask in (disc(), tilted, disc() & (ROWS < 50), pixel, np.ones((1, 9), bool)):
        assert outline_measures(mask)["border_irregularity"] == pytest.approx(1, abs=1e-9)


def test_the_deeper_the_indents_the_more_irregular_the_border() -> None:
    found = [outline_measures(star(depth))["border_irregularity"] for depth in (0, 0.1, 0.2, 0.4)]
    assert found == sorted(found)
    angle = np.linspace(0, 2 * math.pi, 20001)
    radius = 45 * (1 + 0.4 * np.sin(7 * angle))
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    lengths = [np.hypot(*np.diff(line, axis=0).T).sum() for line in (curve, curve[_closed(curve)])]
    assert found[-1] == pytest.approx(lengths[0] / lengths[1], rel=0.03)


def _closed(curve: np.ndarray) -> np.ndarray:
    vertices = ConvexHull(curve).vertices
    return np.append(vertices, vertices[0])


def test_a_box_and_its_share_of_the_image() -> None:
    mask = np.zeros((20, 50), bool)
    mask[3:8, 10:30] = True
    mask[15, 45] = True
    found = outline_measures(mask)
    assert (found["area_px"], found["area_share"]) == (101, 0.101)
    assert found["box"] == [10, 3, 36, 13]
    assert found["regions"] == 2
    assert found["perimeter_px"] == pytest.approx(50, rel=0.08)


def test_an_empty_mask() -> None:
    found = outline_measures(np.zeros((4, 5)))
    assert math.isnan(found.pop("border_irregularity"))
    assert found == {"area_px": 0, "area_share": 0, "box": None, "regions": 0, "perimeter_px": 0}
    assert not one_region(np.zeros((4, 5))).any()


def test_one_region_is_the_largest_without_its_holes() -> None:
    small = disc(20, 20, 10)
    ring = disc(70, 90, 40) & ~disc(70, 90, 15)
    np.testing.assert_array_equal(one_region(small | ring), disc(70, 90, 40))
