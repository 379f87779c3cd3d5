"""Where the voxels of one grid lie on the axes of another."""

from __future__ import annotations

import numpy as np
from helpers.phantoms import rotation

from bundle.grid.axis_places import aligned_axes, axis_places


def test_positions_beyond_the_border_take_its_voxel_and_farther_ones_are_none() -> None:
    places = axis_places(np.array([-1.0, -0.4, 0.25, 2.9, 3.0]), 3)
    assert (places.first, places.blends) == (1, True)
    assert places.low.tolist() == [0, 0, 1]
    np.testing.assert_allclose(places.share, [0, 0.25, 1])


def test_positions_near_voxels_lie_on_them() -> None:
    places = axis_places(np.array([2.0 - 1e-7, 1.0, 1e-7]), 3)
    assert places.low.tolist() == [2, 1, 0]
    assert not places.blends


def test_an_axis_that_no_position_meets_has_none() -> None:
    assert len(axis_places(np.array([7.0, 8.0]), 3).low) == 0


def test_permuted_and_flipped_axes_are_aligned_and_turned_ones_are_not() -> None:
    matrix = np.array([[0, 2.0, 0, 1], [-1, 0, 0, 5], [0, 0, 1, 0], [0, 0, 0, 1]])
    axes = aligned_axes(matrix, (3, 4, 2))
    assert axes is not None
    assert axes.columns == [1, 0, 2]
    assert [positions.tolist() for positions in axes.positions] == [[1, 3, 5, 7], [5, 4, 3], [0, 1]]
    assert aligned_axes(rotation(0, 0, 30), (9, 9, 9)) is None
