"""A resampled grid shares the first voxel and the axes of the original one."""

from __future__ import annotations

import numpy as np
import pytest
from nibabel.affines import apply_affine

from bundle.grid.resampled_grid import block_positions, block_sizes, positions, resampled_grid

AFFINE = np.array([[0.0, -2, 0, 5], [1, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1]])


def test_its_voxels_lie_in_the_world_where_their_sources_do() -> None:
    grid = resampled_grid((9, 11, 6), AFFINE, [2.0, 1.0, None])
    assert grid.size == [5, 21, 6]
    last = [source[-1] for source in grid.sources]
    np.testing.assert_allclose(apply_affine(grid.affine, np.array(grid.size) - 1), apply_affine(AFFINE, last))
    np.testing.assert_allclose(apply_affine(grid.affine, [0, 0, 0]), AFFINE[:3, 3])


def test_an_axis_that_would_hardly_move_is_kept() -> None:
    assert resampled_grid((10, 10, 10), np.eye(4), [1.004, 1.0, 1.0]).scale.tolist() == [1.0, 1.0, 1.0]
    assert resampled_grid((100, 10, 10), np.eye(4), [1.004, 1.0, 1.0]).scale[0] == pytest.approx(1.004)


def test_blocks_have_their_center_between_their_voxels() -> None:
    assert block_sizes([2.0, 0.5, 9.0], [10, 10, 4]) == [2, 1, 4]
    (found,) = block_positions([positions(3, 2.0)], [2])
    np.testing.assert_allclose(found, [-0.25, 0.75, 1.75])
