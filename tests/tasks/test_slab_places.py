"""Slabs within a volume, and the share of every slice in them."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.tasks.spine.slab_places import slab_affine, slab_places, slab_weights, slice_weights


def test_slabs_outside_the_volume_are_skipped_and_one_is_left() -> None:
    assert slab_places(9, 4.0, 4.0, [-40.0, 0.0, 8.0]) == [4.0, 6.0]
    assert slab_places(9, 4.0, 4.0, [90.0]) == [4.0]


def test_the_share_of_a_slice_is_its_overlap_with_the_band() -> None:
    slices, weights, middle = slice_weights(9, 4.0, 4.0, 6.0)
    assert (slices.start, slices.stop, middle) == (3, 6, 4.0)
    np.testing.assert_allclose(weights, np.array([0.25, 1, 0.25]) / 1.5)


def test_a_band_is_cut_at_the_border() -> None:
    slices, weights, middle = slice_weights(9, 4.0, 0.0, 8.0)
    assert (slices.start, slices.stop) == (0, 2)
    assert middle == 0.25
    np.testing.assert_allclose(weights, np.array([1, 0.5]) / 1.5)


def test_every_row_of_the_weights_has_the_sum_one() -> None:
    weights = slab_weights(9, 4.0, [0.0, 3.3, 8.0], 6.0)
    assert weights.shape == (3, 9)
    assert weights.sum(1) == pytest.approx([1, 1, 1])


def test_the_affine_of_a_slab_has_its_thickness() -> None:
    affine = slab_affine(np.diag([4.0, 1.5, 1.5, 1.0]), 3.5, 6.0)
    np.testing.assert_allclose(affine, [[6, 0, 0, 14], [0, 1.5, 0, 0], [0, 0, 1.5, 0], [0, 0, 0, 1]])
