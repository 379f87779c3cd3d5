"""Regions are the largest components of their classes, with their place in the world."""

from __future__ import annotations

import numpy as np

from bundle.inference.found_regions import Region, box_around, measure_regions, paddings, raised_labels, remarks_on

AFFINE = np.diag([2.0, 2, 2, 1]) + np.array([[0, 0, 0, 10.0]] + [[0] * 4] * 3)


def probabilities() -> np.ndarray:
    found = np.zeros((3, 8, 8, 8), np.float32)
    found[0] = 0.5
    found[1, 2:4, 3:6, 4] = 0.9
    found[1, 7, 7, 7] = 0.8
    found[2, 0, 0, 0] = 0.7
    return found


def test_the_largest_component_has_center_volume_and_probability() -> None:
    left, right = measure_regions(probabilities(), AFFINE, {"left": 1, "right": 2})
    assert left == Region("left", center_mm=(15.0, 8.0, 8.0), volume_mm3=48.0, probability=0.9, cut=False)
    assert right.cut
    assert remarks_on([left, right]) == ["right touches the border of the image and may be incomplete"]


def test_a_small_component_is_none() -> None:
    found = measure_regions(probabilities(), AFFINE, {"right": 2}, min_volume_mm3=9.0)
    assert found == [Region("right")]
    assert remarks_on(found) == ["right was not found"]


def test_a_box_is_cut_at_the_border_of_the_image() -> None:
    assert box_around(AFFINE, (8, 8, 8), (10.0, 8.0, 8.0), (8.0, 4.0, 4.0)) == (slice(0, 3), slice(3, 6), slice(3, 6))


def test_labels_of_a_region_are_raised_and_single_voxels_dropped() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1:3, 1, 1], labels[4, 4, 4] = 2, 1
    box, raised = raised_labels(labels, 10)
    assert box == (slice(1, 5), slice(1, 5), slice(1, 5))
    assert raised.sum() == 24
    assert set(np.unique(raised)) == {0, 12}


def test_paddings_make_sizes_divisible() -> None:
    assert paddings((16, 17, 31), 16) == [(0, 0), (7, 8), (0, 1)]
