"""Pixels of sagittal slabs and world coordinates."""

from __future__ import annotations

import numpy as np
import torch
from helpers.phantoms import rotation
from nibabel.affines import apply_affine, voxel_sizes

from bundle.tasks.spine.slab_geometry import is_in_image, pixels_to_world, voxel_size, world_to_voxels

AFFINE = rotation(20, -10, 35) @ np.diag([6.0, 0.8, 1.1, 1.0])
AFFINE[:3, 3] = 12.0, -30.0, 45.0
POINTS = np.random.default_rng(0).normal(0, 50, (5, 3))


def test_voxel_sizes_and_indices_are_those_of_nibabel() -> None:
    for affine in (AFFINE, torch.as_tensor(AFFINE)):
        np.testing.assert_allclose(voxel_size(affine), voxel_sizes(AFFINE))
        np.testing.assert_allclose(world_to_voxels(POINTS, affine), apply_affine(np.linalg.inv(AFFINE), POINTS))


def test_pixels_of_a_slab_become_points_in_its_plane() -> None:
    pixels = np.array([[3.0, 4.5], [0.0, 10.0]])
    points = pixels_to_world(pixels, AFFINE, 1.5)
    np.testing.assert_allclose(world_to_voxels(points, AFFINE), [[1.5, 3.0, 4.5], [1.5, 0.0, 10.0]], atol=1e-12)


def test_pixels_up_to_half_a_pixel_outside_the_centers_are_in_the_image() -> None:
    pixels = np.array([[-0.5, 0.0], [-0.51, 0.0], [9.5, 19.5], [9.5, 19.6], [np.nan, 1.0]])
    assert is_in_image(pixels, (10, 20)).tolist() == [True, False, True, False, False]
