from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bundle.phantoms.spine.spine_geometry import SpineGeometry, draw_spine
from bundle.phantoms.spine.spine_grid import (
    FIELD_FREQUENCY,
    FIELDS,
    ORIENTATIONS,
    SpineGrid,
    draw_grid,
    draw_pose,
    reorient,
)

GEOMETRY = draw_spine(np.random.default_rng(0))


def levels_in(grid: SpineGrid, geometry: SpineGeometry = GEOMETRY) -> list[int]:
    tips = geometry.tips()
    return tips[grid.contains(tips[:, 1:]), 0].astype(int).tolist()


@pytest.mark.parametrize("field", [*FIELDS, (5, 7), (22, 19)])
def test_a_field_of_view_holds_its_levels_along_the_spine(field: str | tuple[int, int]) -> None:
    low, high = sorted(FIELDS[field] if isinstance(field, str) else field)
    for seed in range(15):
        grid = draw_grid(np.random.default_rng(seed), GEOMETRY, field)
        assert set(range(low, high + 1)) <= set(levels_in(grid))


def test_fields_are_of_the_size_of_real_ones() -> None:
    assert sum(FIELD_FREQUENCY) == pytest.approx(1)
    for seed in range(60):
        grid = draw_grid(np.random.default_rng(seed), GEOMETRY)
        extent = grid.spacing * grid.shape
        assert 0.8 <= grid.spacing[0] <= 5
        assert 0.6 <= grid.spacing[1] <= 1.7
        assert grid.spacing[1] == grid.spacing[2]
        assert 44 < extent[0] < 82
        assert 125 < extent[1] < 900
        assert 145 < extent[2] < 900


def test_shape_and_spacing_are_as_requested_and_the_middle_of_the_field_is_kept() -> None:
    grids = [
        draw_grid(np.random.default_rng(1), GEOMETRY, "lumbar", shape=shape, spacing=(4, 1.5, 2))
        for shape in ((5, 40, 30), (5, 40, 90))
    ]
    assert grids[0].shape == (5, 40, 30)
    assert grids[0].spacing.tolist() == [4, 1.5, 2]
    assert grids[0].axis(2).mean() == pytest.approx(grids[1].axis(2).mean())


def test_the_affine_maps_voxels_to_their_places() -> None:
    grid = SpineGrid(np.array([1.0, -2.0, 3.0]), np.array([4.0, 0.5, 0.7]), (2, 3, 4))
    place = nib.affines.apply_affine(grid.affine, [1, 2, 3])
    assert place == pytest.approx([grid.axis(0)[1], grid.axis(1)[2], grid.axis(2)[3]])
    corners = np.array([[-0.99, -2.24, 2.66], [-1.01, -2.24, 2.66], [6.99, -0.76, 5.44], [6.99, -0.76, 5.46]])
    assert grid.contains(corners).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field_of_view": "sacral"}, r"one of cervical, .* got 'sacral'"),
        ({"field_of_view": (40, 50)}, r"\(40, 50\) shows no numbered level"),
        ({"shape": (5, 40)}, "shape must be"),
        ({"shape": (0, 40, 40)}, "shape must be"),
        ({"spacing": (4, 0, 1)}, "spacing must be three positive"),
        ({"spacing": (1, 1)}, "spacing must be three positive"),
    ],
)
def test_an_invalid_option_is_an_error_that_lists_the_choices(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_grid(np.random.default_rng(0), GEOMETRY, **options)


def test_a_pose_is_a_small_rigid_motion() -> None:
    turned = 0
    for seed in range(30):
        pose = draw_pose(np.random.default_rng(seed))
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose) == pytest.approx(1)
        angle = np.rad2deg(np.arccos(np.clip((np.trace(pose[:3, :3]) - 1) / 2, -1, 1)))
        assert angle < 20
        turned += angle > 0.1
    assert 5 < turned < 25


@pytest.mark.parametrize("codes", [*ORIENTATIONS, "SAL"])
def test_turned_arrays_show_the_same_voxels_at_the_same_places(codes: str) -> None:
    voxels = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    affine = np.diag([4.0, 1.0, 0.8, 1.0])
    affine[:3, 3] = 7, -3, 2
    turned, new = reorient(voxels, affine, codes)
    assert nib.aff2axcodes(new) == tuple(codes)
    back = nib.as_closest_canonical(nib.Nifti1Image(turned, new))
    assert np.array_equal(np.asarray(back.dataobj), voxels)
    assert np.allclose(back.affine, affine)


@pytest.mark.parametrize("codes", ["RA", "RRS", "XYZ"])
def test_codes_that_are_not_an_orientation_are_an_error(codes: str) -> None:
    with pytest.raises(ValueError, match=f"orientation must be three axis codes .* got '{codes}'"):
        reorient(np.zeros((2, 2, 2)), np.eye(4), codes)
