"""Components, and masks without holes, are those of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bundle.utils.components import fill_holes, find_components


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("corners", [False, True])
def test_components_are_those_of_scipy(seed: int, corners: bool) -> None:
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(1, 9, 1 + seed % 3))
    mask = generator.random(shape) < generator.random()
    wanted, count = ndimage.label(mask, np.ones([3] * mask.ndim) if corners else None)
    found = find_components(mask, corners=corners)
    assert len(found.sizes) == count
    for number in range(count):
        np.testing.assert_array_equal(found.mask(number), wanted == number + 1)
        assert found.sizes[number] == (wanted == number + 1).sum()


@pytest.mark.parametrize("seed", range(5))
def test_means_of_components_and_masks_of_several_are_those_of_scipy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask, values = generator.random((9, 8)) < 0.4, generator.random((9, 8))
    wanted, count = ndimage.label(mask, np.ones((3, 3)))
    found = find_components(mask, corners=True)
    np.testing.assert_allclose(found.means(values), ndimage.mean(values, wanted, range(1, count + 1)))
    np.testing.assert_array_equal(found.mask([0, count - 1]), np.isin(wanted, [1, count]))
    assert not found.mask([]).any()


def test_structures_that_touch_are_separate_components() -> None:
    labels = np.array([[1, 2], [1, 2]])
    assert find_components(labels).labels.tolist() == [1, 2]


@pytest.mark.parametrize("seed", range(10))
def test_holes_are_those_of_scipy(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7,) * (2 + seed % 2)) < 0.6
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_an_empty_array_has_no_component() -> None:
    assert len(find_components(np.zeros((3, 0), bool)).sizes) == 0
