from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import rotation

from bundle.visualize.overlay_planes import Volume, find_region, sample_planes

SAGITTAL, CORONAL, AXIAL, COMPLETE = range(4)

AFFINE = np.eye(4)
AFFINE[:3, 3] = -60, -70, -50


def head() -> Volume:
    """Return a volume of 120 x 140 x 100 mm around the origin; it is brighter to the right, the front and the top."""
    x, y, z = np.meshgrid(*(np.arange(size) for size in (120, 140, 100)), indexing="ij")
    return Volume((x + y + z).astype(np.float32), AFFINE)


def box(low: tuple[float, float, float], high: tuple[float, float, float], value: int = 1) -> Volume:
    """Return a label map on the grid of the head with a box, in mm."""
    labels = np.zeros((120, 140, 100), np.uint8)
    first, last = (np.round(np.array(point) - AFFINE[:3, 3]).astype(int) for point in (low, high))
    labels[tuple(map(slice, first, last))] = value
    return Volume(labels, AFFINE)


def turned(volume: Volume, code: str) -> Volume:
    image = nib.Nifti1Image(volume.values, volume.affine)
    change = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(code))
    result = image.as_reoriented(change)
    return Volume(np.asarray(result.dataobj), result.affine)


def test_planes_go_through_the_center_of_the_group() -> None:
    planes = sample_planes(head(), box((-30, -10, -20), (-10, 20, 0)), {"left": {"a": 1}}, width=400)["left"]
    assert [plane.view.axis for plane in planes] == [0, 1, 2, 1]
    assert [plane.view.position for plane in planes] == pytest.approx([-20, 5, -10, 5], abs=1)
    assert [plane.gray.shape for plane in planes] == [(100, 100)] * 4


def test_left_is_left_and_up_is_anterior_or_superior() -> None:
    labels = box((-30, -10, -20), (-10, 20, 0))
    labels.values[80:100, 70:80, 60:80] = 2
    planes = sample_planes(head(), labels, {"left": {"a": 1}, "right": {"b": 2}}, width=400)["left"]
    for plane in planes:
        gray = plane.gray.astype(int)
        assert gray[50, 70] > gray[50, 30], "brighter to the right"
        assert gray[30, 50] > gray[70, 50], "brighter at the top"
    rows, columns = np.nonzero(planes[COMPLETE].structures == 2)
    assert columns.min() > 50, "the structure on the patient's right"
    assert rows.max() < 50, "above the middle"


def test_the_side_is_80_mm_or_one_and_a_half_times_the_group_and_never_more_than_the_image() -> None:
    groups = {"": {"a": 1}}
    for length, side in ((20, 80), (70, 105), (110, 140)):
        labels = box((-10, -length / 2, -10), (10, length / 2, 10))
        assert sample_planes(head(), labels, groups, width=400)[""][0].view.side == pytest.approx(side)


def test_the_complete_plane_shows_all_of_the_image_and_is_missing_where_the_others_do() -> None:
    planes = sample_planes(head(), box((-10, -10, -10), (10, 10, 10)), {"": {"a": 1}}, width=400)[""]
    assert planes[COMPLETE].view.side == 120
    assert planes[COMPLETE].view.middle == pytest.approx((-0.5, -0.5))
    planes = sample_planes(head(), box((-10, -60, -10), (10, 60, 10)), {"": {"a": 1}}, width=399)[""]
    assert len(planes) == 3
    assert planes[0].gray.shape == (133, 133)


def test_planes_near_the_border_are_moved_into_the_image() -> None:
    planes = sample_planes(head(), box((-60, -70, -50), (-50, -60, -40)), {"": {"a": 1}}, width=400)[""]
    assert planes[AXIAL].view.middle == pytest.approx((-60.5 + 40, -70.5 + 40))
    assert (planes[AXIAL].structures[-5:, :5] == 1).all()


@pytest.mark.parametrize("code", ["LPS", "PIR", "SAL"])
def test_the_order_of_the_axes_does_not_matter(code: str) -> None:
    image, labels, groups = head(), box((-30, -10, -20), (-10, 20, 0)), {"": {"a": 1}}
    expected = sample_planes(image, labels, groups, width=400)[""]
    for plane, same in zip(sample_planes(turned(image, code), labels, groups, width=400)[""], expected, strict=True):
        np.testing.assert_allclose(plane.gray.astype(int), same.gray, atol=1)
        np.testing.assert_array_equal(plane.structures, same.structures)
    for plane, same in zip(sample_planes(image, turned(labels, code), groups, width=400)[""], expected, strict=True):
        assert plane.view.position == pytest.approx(same.view.position, abs=1.01)
        assert (plane.structures > 0).sum() == pytest.approx((same.structures > 0).sum(), rel=0.05)


def test_labels_on_an_oblique_grid_lie_where_they_are_in_the_world() -> None:
    affine = rotation(20, -10, 35) @ np.diag([2.0, 1.5, 3.0, 1])
    affine[:3, 3] = -affine[:3, :3] @ [20, 20, 20]
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[20:24, 20:26, 20:23] = 7
    center = (affine @ [21.5, 22.5, 21, 1])[:3]
    planes = sample_planes(head(), Volume(labels, affine), {"": {"a": 7}}, width=400)[""]
    assert [plane.view.position for plane in planes[:3]] == pytest.approx(center, abs=2)
    for plane in planes[:3]:
        rows, columns = np.nonzero(plane.structures)
        scale, middle = plane.view.side / 100, plane.view.middle
        found = middle[0] + (columns.mean() + 0.5 - 50) * scale, middle[1] - (rows.mean() + 0.5 - 50) * scale
        assert found == pytest.approx(np.delete(center, plane.view.axis), abs=2)


def test_the_center_is_a_labeled_voxel_even_of_a_ring() -> None:
    labels = box((-30, -30, -5), (30, 30, 5))
    labels.values[35:85, 45:95] = 0
    region = find_region(labels, [1])
    assert region is not None
    index = tuple(np.round(region.center - AFFINE[:3, 3]).astype(int))
    assert labels.values[index] == 1
    assert region.extent == 60


def test_groups_without_voxels_have_no_row() -> None:
    rows = sample_planes(head(), box((0, 0, 0), (9, 9, 9)), {"left": {"a": 2}, "right": {"a": 1}}, width=400)
    assert list(rows) == ["right"]


def test_without_labels_the_planes_go_through_the_middle_of_the_image() -> None:
    rows = sample_planes(head(), box((0, 0, 0), (0, 0, 0)), {"left": {"a": 1}, "right": {"a": 2}}, width=300)
    assert list(rows) == ["nothing labeled"]
    (planes,) = rows.values()
    assert [plane.view.position for plane in planes] == [-0.5, -0.5, -0.5]
    assert [plane.view.side for plane in planes] == [140] * 3
    assert not any(plane.structures.any() for plane in planes)


def test_gray_values_range_from_the_1st_to_the_99th_percentile_of_the_plane() -> None:
    values = np.random.default_rng(0).normal(size=(120, 140, 100)).astype(np.float32)
    values[0, 0, 0], values[60] = 1e6, np.linspace(0, 1, 140)[:, None]
    plane = sample_planes(Volume(values, AFFINE), box((-1, -70, -50), (2, 70, 50)), {"": {"a": 1}}, width=420)[""][0]
    shown = plane.gray[20:120]
    assert (shown == 0).mean() == pytest.approx(0.01, abs=0.005)
    assert (shown == 255).mean() == pytest.approx(0.005, abs=0.005)


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_constant_image_and_one_of_no_numbers_are_black(value: float) -> None:
    image = Volume(np.full((120, 140, 100), value, np.float32), AFFINE)
    planes = sample_planes(image, box((0, 0, 0), (9, 9, 9)), {"": {"a": 1}}, width=80)[""]
    assert not any(plane.gray.any() for plane in planes)
