"""Spacing, patch and strides follow the data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.planning.geometry import (
    chance_of_foreground,
    choose_patch,
    is_anisotropic,
    level_strides,
    resampled_sizes,
    target_spacing,
)

THICK = [[0.8, 0.8, 5.0], [0.8, 0.8, 3.0], [0.8, 0.8, 5.0]]


def test_the_spacing_of_isotropic_data_is_the_median() -> None:
    assert target_spacing([[1.0, 1.0, 1.2], [1.2, 1.0, 1.2], [1.2, 1.0, 1.0]], [[64, 64, 64]] * 3) == [1.2, 1.0, 1.2]
    assert not is_anisotropic([1.2, 1.0, 1.2])


def test_thick_slices_stay_thick_but_not_the_thickest() -> None:
    assert target_spacing(THICK, [[512, 512, 40]] * 3) == [0.8, 0.8, 3.4]
    assert is_anisotropic([0.8, 0.8, 3.4])


def test_a_tenth_percentile_below_the_others_is_raised_to_them() -> None:
    spacings = [[0.8, 0.8, 0.5], *[[0.8, 0.8, 5.0]] * 2]
    assert target_spacing(spacings, [[512, 512, 40]] * 3) == [0.8, 0.8, pytest.approx(1.4)]
    spacings = [*[[0.8, 0.8, 0.5]] * 2, *[[0.8, 0.8, 5.0]] * 3]
    assert target_spacing(spacings, [[512, 512, 40]] * 5)[2] == pytest.approx(0.8)


def test_a_coarse_axis_with_many_slices_is_not_thick() -> None:
    assert target_spacing(THICK, [[64, 64, 64]] * 3) == [0.8, 0.8, 5.0]


def test_sizes_are_those_in_voxels_of_the_target() -> None:
    assert resampled_sizes([[1, 1, 5]], [[100, 50, 10]], [2, 1, 2.5]).tolist() == [[50, 50, 20]]


def test_strides_are_those_of_nnunet() -> None:
    """As ``get_pool_and_conv_props`` of nnunetv2 2.6.0 gives them, up to five levels."""
    assert level_strides([40, 56, 40], [1, 1, 1]) == [[2, 2, 2]] * 3
    assert level_strides([192, 192, 16], [0.8, 0.8, 5.0]) == [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]
    assert level_strides([12, 4, 4], [1, 1, 1]) == [[2, 1, 1]]


def test_a_tiny_patch_has_two_levels() -> None:
    assert level_strides([6, 1, 8], [1, 1, 1]) == [[2, 1, 2]]


@pytest.mark.parametrize("voxels", [10**7, 60_000, 5_000])
def test_the_patch_fits_and_every_stride_divides_it(voxels: int) -> None:
    patch, strides = choose_patch([120, 100, 60], [1.0, 1.0, 2.0], voxels, [30.0, 30.0, 30.0])
    assert math.prod(patch) <= voxels
    assert all(side % math.prod(steps) == 0 for side, steps in zip(patch, zip(*strides, strict=True), strict=True))
    if voxels >= 60_000:
        assert all(side * step >= 30 for side, step in zip(patch, [1.0, 1.0, 2.0], strict=True))


def test_no_patch_is_smaller_than_the_network_allows() -> None:
    assert choose_patch([50, 50, 50], [1.0, 1.0, 1.0], 1, [10.0, 10.0, 10.0])[0] == [8, 8, 8]


def test_the_rarest_structure_is_named_with_its_chance() -> None:
    structures = {"large": {"extent_mm": [90, 90, 90]}, "small": {"extent_mm": [5, 5, 5]}}
    name, chance = chance_of_foreground([20, 20, 20], np.array([[100, 100, 100]]), [1, 1, 1], structures)
    assert name == "small"
    assert chance == pytest.approx((12.5 / 81) ** 3)
