"""Means over structures and their borders do not depend on how the planes are cut."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bundle.inference.structure_sums import Planes, StructureSums

NAMES = {"one": 1, "two": 2}


def planes() -> Planes:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, (7, 6, 5)).astype(np.uint8)
    labels[2:5, 1:5, 1:4] = 1
    return Planes(labels, *(generator.random(labels.shape).astype(np.float32) * (labels > 0) for _ in range(2)))


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3, 4, 5, 6], [3, 4]])
def test_means_are_those_over_all_planes(cuts: list[int]) -> None:
    complete, sums = planes(), StructureSums(3)
    for parts in zip(*(np.split(values, cuts) for values in complete), strict=True):
        sums.add(Planes(*parts))
    found = sums.finish(NAMES)
    for name, value in NAMES.items():
        mask = complete.labels == value
        border = mask & ~ndimage.binary_erosion(mask, border_value=1)
        assert found[name]["margin"] == pytest.approx(complete.margin[mask].mean(), abs=1e-4)
        assert found[name]["border_entropy"] == pytest.approx(complete.entropy[border].mean(), abs=1e-4)


def test_a_structure_without_a_voxel_has_no_numbers() -> None:
    sums = StructureSums(3)
    labels = np.ones((2, 2, 2), np.uint8)
    sums.add(Planes(labels, labels * 0.5, labels * 0.5))
    assert sums.finish(NAMES) == {"one": {"margin": 0.5, "entropy": 0.5}}
