"""Targets made of masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.transforms.utils_morphological_ops import dilate
from scipy import ndimage

from bundle.losses import boundary_target, region_target


def masks(*size: int, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.rand(batch, 1, *size) > 0.97).float()


@pytest.mark.parametrize("size", [(40, 33), (9, 12, 14)])
@pytest.mark.parametrize("width", [1, 3])
def test_boundary_is_the_dilation_without_the_mask(size: tuple[int, ...], width: int) -> None:
    mask = masks(*size)
    wanted = np.stack(
        [
            ndimage.binary_dilation(sample[0], np.ones([2 * width + 1] * len(size))) & (sample[0] == 0)
            for sample in mask.numpy()
        ]
    )
    assert np.array_equal(boundary_target(mask, width)[:, 0].numpy(), wanted.astype(np.float32))


def test_boundary_of_the_authors_is_that_of_monai() -> None:
    mask = masks(40, 33)
    assert torch.equal(boundary_target(mask), dilate(mask, 7) - mask)


def test_boundary_of_a_soft_mask_is_soft_and_of_an_empty_or_full_one_zero() -> None:
    soft = boundary_target(torch.rand(1, 1, 20, 20))
    assert (soft >= 0).all()
    assert (soft <= 1).all()
    for value in (0.0, 1.0):
        assert not boundary_target(torch.full((1, 1, 20, 20), value)).any()


@pytest.mark.parametrize("size", [(32, 48), (33, 50), (10, 20, 18)])
def test_regions_are_the_sums_of_the_patches_over_the_largest(size: tuple[int, ...]) -> None:
    mask = torch.rand(2, 1, *size, dtype=torch.float64)
    regions = region_target(mask, 16)
    grid = [math.ceil(side / 16) for side in size]
    assert regions.shape == (2, 1, *grid)
    for sample in range(2):
        sums = np.zeros(grid)
        for place in np.ndindex(*size):
            sums[tuple(index // 16 for index in place)] += float(mask[(sample, 0, *place)])
        np.testing.assert_allclose(regions[sample, 0].numpy(), sums / sums.max(), rtol=1e-12)


def test_regions_of_an_empty_mask_are_zero_and_leave_the_others_alone() -> None:
    mask = torch.zeros(2, 1, 32, 32)
    mask[1, 0, 20, 20] = 1
    assert region_target(mask).flatten(1).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
