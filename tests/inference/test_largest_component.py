"""The largest connected component of a mask, by the number of its voxels."""

from __future__ import annotations

import numpy as np

from bundle.inference.largest_component import largest_component


def test_the_component_with_the_most_voxels_is_kept() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[:2, :2, :2], mask[4:8, 4, 4] = True, True
    kept = largest_component(mask)
    assert kept[:2, :2, :2].all()
    assert kept.sum() == 8


def test_voxels_that_touch_at_an_edge_are_not_connected() -> None:
    assert largest_component(np.eye(3, dtype=bool)).sum() == 1


def test_an_empty_mask_stays_empty() -> None:
    assert not largest_component(np.zeros((3, 3), bool)).any()
