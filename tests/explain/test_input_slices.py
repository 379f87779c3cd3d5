"""Slices of an input file along an axis of the preprocessed volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.explained import prepared
from helpers.phantoms import orientation_affine, orientations, rotation

from bundle.explain.input_slices import input_slices


@pytest.mark.parametrize("code", orientations()[::5])
def test_slices_are_those_of_the_file_in_every_orientation(code: str, tmp_path: Path) -> None:
    """Every voxel of the file lies in the slice of the preprocessed volume that is closest in scanner coordinates."""
    affine = orientation_affine(code, (1.7, 0.8, 1.0))
    image = prepared(tmp_path, affine)["image"]
    world = np.asarray(image.affine)
    for axis in range(3):
        found = input_slices(image, axis)
        assert code[found.axis] in ("RL", "AP", "SI")[axis]
        for number, (near, position) in enumerate(zip(found.nearest, found.position_mm, strict=True)):
            voxel = np.array([0.0, 0, 0, 1])
            voxel[found.axis] = number
            place = (affine @ voxel)[axis]
            assert position == pytest.approx(place, abs=1e-5)
            centers = world[axis, 3] + world[axis, axis] * np.arange(image.shape[1 + axis])
            assert abs(centers[near] - place) == pytest.approx(np.abs(centers - place).min(), abs=1e-5)


def test_positions_of_an_oblique_volume_are_along_its_normal(tmp_path: Path) -> None:
    turn = rotation(20, -10, 15)
    found = input_slices(prepared(tmp_path, turn @ np.diag([1, 1, 3.0, 1]))["image"], 2)
    np.testing.assert_allclose(np.diff(found.position_mm), 3)
    assert found.axis == 2
