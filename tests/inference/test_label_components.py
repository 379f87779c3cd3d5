"""Components are those of scipy, plane by plane; the border share counts the outermost planes of the scan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bundle.inference.label_components import LISTED, measure_components


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("density", [0.1, 0.4, 0.6])
def test_components_and_volumes_are_those_of_scipy(seed: int, density: float) -> None:
    generator = np.random.default_rng(seed)
    labels = np.where(generator.random((9, 11, 8)) < density, generator.integers(1, 4, (9, 11, 8)), 0).astype(np.uint8)
    inner = np.zeros(labels.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    for name, found in measure_components(labels, 2.0, {"a": 1, "b": 2, "c": 3}).items():
        mask = labels == " abc".index(name)
        parts, count = ndimage.label(mask)
        sizes = sorted((2.0 * np.bincount(parts.ravel())[1:]).tolist(), reverse=True)
        assert found["components"] == count
        assert found["component_volumes_mm3"] == sizes[:LISTED]
        assert found["border_share"] == pytest.approx((mask & ~inner).sum() / mask.sum(), abs=1e-4)


def test_parts_that_join_in_a_later_plane_are_one_component() -> None:
    labels = np.zeros((5, 4, 7), np.uint8)
    labels[1:4, 1, 1] = labels[1:4, 1, 5] = labels[3, 1, 1:6] = 1
    assert measure_components(labels, 1.0, {"fork": 1})["fork"]["component_volumes_mm3"] == [9.0]


def test_a_structure_continues_only_in_the_next_plane() -> None:
    labels = np.zeros((5, 4, 4), np.uint8)
    labels[1], labels[3] = 1, 1
    assert measure_components(labels, 1.0, {"sheets": 1})["sheets"]["components"] == 2


def test_an_absent_structure_has_no_component() -> None:
    found = measure_components(np.zeros((3, 3, 3), np.uint16), 1.0, {"none": 300})
    assert found == {"none": {"components": 0, "component_volumes_mm3": [], "border_share": None}}


def test_all_voxels_of_a_single_plane_are_on_the_border() -> None:
    assert measure_components(np.ones((1, 1, 4), np.uint8), 1.0, {"row": 1})["row"]["border_share"] == 1
