"""Features of a label map are volume, shares, places and confidence."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.inference.label_features import cut_center, result_features

AFFINE = np.diag([2.0, 1, 1, 1])
NAMES = {"a": 1, "b": 2}


def labels() -> np.ndarray:
    found = np.zeros((6, 5, 5), np.uint8)
    found[1:3, 2, 2], found[3:5, 2, 2] = 1, 2
    return found


def test_places_are_relative_to_the_center_of_all_structures() -> None:
    found = result_features(labels(), AFFINE, NAMES, probability=3.0)
    assert (found["volume_mm3"], found["a_share"], found["confidence"]) == (8.0, 0.5, 0.75)
    assert (found["a_x_mm"], found["b_x_mm"], found["a_y_mm"]) == (2.0, 2.0, 0.0)
    assert found["view_share"] == pytest.approx(4 / 150, abs=1e-4)
    assert found["center_mm"] == 0.0


def test_without_a_labeled_voxel_the_volume_is_the_only_feature() -> None:
    assert result_features(np.zeros((3, 3, 3), np.uint8), AFFINE, NAMES, probability=0.0) == {"volume_mm3": 0.0}


def test_only_a_structure_at_the_border_has_a_center_to_crop_again() -> None:
    cut = labels()
    cut[0, 2, 2] = 1
    assert cut_center(labels(), AFFINE) is None
    assert cut_center(np.zeros((3, 3, 3), np.uint8), AFFINE) is None
    assert cut_center(cut, AFFINE) == (4.0, 2.0, 2.0)
