"""Grid and structures are described along R, A and S."""

from __future__ import annotations

import numpy as np
import torch
from helpers.phantoms import meta_tensor, orientation_affine

from bundle.check.volume_facts import describe_grid, describe_structures


def test_size_and_spacing_are_along_r_a_s_without_the_border() -> None:
    image = torch.zeros(1, 10, 12, 14)
    image[0, 2:6, 1:9, 3:13] = torch.rand(4, 8, 10) + 1
    grid = describe_grid(meta_tensor(image, orientation_affine("SLP", (2.0, 0.5, 1.0))))
    assert grid == {"ras": {"spacing": [0.5, 1.0, 2.0], "size": [8, 10, 4]}}


def test_structures_have_extents_components_and_intensities() -> None:
    label = np.zeros((10, 10, 10))
    label[1:3, 1:5, 1:2] = 3
    label[7, 7, 7] = 3
    image = meta_tensor(torch.full((2, 10, 10, 10), 5.0), np.diag([1.0, 2.0, 3.0, 1.0]))
    found = describe_structures([image], label, -1)
    assert found["structures"] == {"3": {"extent_mm": [7.0, 14.0, 21.0], "components": 2, "smallest_mm3": 6.0}}
    assert [channel["mean"] for channel in found["inside"]] == [5.0, 5.0]


def test_a_label_map_without_structures_is_not_described() -> None:
    image = meta_tensor(torch.ones(1, 4, 4, 4))
    assert describe_structures([image], np.zeros((4, 4, 4)), -1) == {}
    assert describe_structures([image], np.full((4, 4, 4), 2.0), 2) == {}
