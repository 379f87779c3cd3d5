"""Objects that touch are separated, numbered and compared."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.metrics.instances import measure_objects, object_metrics, separate_objects


def disks(*places: tuple[int, int, int], shape: tuple[int, int] = (120, 200)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, dtype=bool)
    for row, column, radius in places:
        mask |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    return mask


TWO = ((60, 60, 24), (60, 100, 24))


@pytest.mark.parametrize("scale", [1, 3])
def test_touching_disks_are_two_objects_at_any_size(scale: int) -> None:
    mask = np.kron(disks(*TWO), np.ones((scale, scale))) > 0
    objects = separate_objects(mask)
    assert objects.max() == 2
    assert np.array_equal(objects > 0, mask)
    areas = np.bincount(objects.ravel())[1:]
    assert areas[0] == pytest.approx(areas[1], rel=0.03)
    assert len(set(objects[60 * scale, [60 * scale, 100 * scale]])) == 2


def test_an_oval_and_a_ring_are_one_object_each() -> None:
    rows, columns = np.mgrid[:120, :200]
    oval = ((rows - 60) / 20) ** 2 + ((columns - 100) / 60) ** 2 < 1
    assert separate_objects(oval).max() == 1
    ring = disks((60, 100, 40)) & ~disks((60, 100, 10))
    assert separate_objects(ring).max() == 1
    assert separate_objects(ring)[60, 100] == 1


def test_the_neck_decides_what_is_separated() -> None:
    mask = disks((60, 60, 24), (60, 90, 24))
    assert separate_objects(mask, neck=0.6).max() == 1
    assert separate_objects(mask, neck=0.9).max() == 2
    assert separate_objects(mask, neck=1.0).max() >= 2


def test_specks_are_not_counted_and_numbers_have_no_gaps() -> None:
    mask = disks((20, 20, 3), (60, 60, 24), (60, 150, 24), (20, 110, 14))
    assert np.unique(separate_objects(mask)).tolist() == [0, 1, 2, 3]
    assert np.unique(separate_objects(mask, min_share=0.0)).tolist() == [0, 1, 2, 3, 4]


def test_measurements_are_those_of_the_pixels() -> None:
    objects = np.zeros((10, 12), dtype=np.int32)
    objects[2:4, 3:9], objects[6:9, 1] = 1, 3
    assert measure_objects(objects) == [
        {
            **{"object": 1, "area_px": 12, "center_x": 5.5, "center_y": 2.5},
            **{"box_x": 3, "box_y": 2, "box_width": 6, "box_height": 2},
        },
        {
            **{"object": 3, "area_px": 3, "center_x": 1.0, "center_y": 7.0},
            **{"box_x": 1, "box_y": 6, "box_width": 1, "box_height": 3},
        },
    ]


def test_an_empty_mask_has_no_object() -> None:
    assert separate_objects(np.zeros((5, 6))).max() == 0
    metrics = object_metrics(np.zeros((5, 6), dtype=int), np.zeros((5, 6), dtype=int))
    assert metrics["objects"] == metrics["reference_objects"] == 0
    assert all(math.isnan(metrics[name]) for name in ("panoptic_quality", "recognition_quality", "object_iou"))


@pytest.mark.parametrize("options", [{"neck": 0.0}, {"neck": 1.1}, {"min_share": 1.0}, {"min_share": -0.1}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"neck must lie in \(0, 1\] and min_share in \[0, 1\)"):
        separate_objects(np.ones((4, 4)), **options)


def test_qualities_are_those_of_the_definition() -> None:
    reference = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]])
    found = np.array([[4, 4, 4, 0, 0, 2, 2, 2, 0]])
    metrics = object_metrics(found, reference)
    assert (metrics["objects"], metrics["reference_objects"]) == (2, 3)
    assert metrics["recognition_quality"] == pytest.approx(2 / (2 + 1 / 2))
    assert metrics["segmentation_quality"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert metrics["panoptic_quality"] == pytest.approx(
        metrics["recognition_quality"] * metrics["segmentation_quality"]
    )


def test_every_object_of_the_reference_counts_with_its_best_partner() -> None:
    reference = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3]])
    found = np.array([[4, 4, 4, 0, 0, 2, 2, 2, 0]])
    assert object_metrics(found, reference)["object_iou"] == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)
    nothing = object_metrics(np.zeros_like(found), reference)
    assert nothing["object_iou"] == nothing["recognition_quality"] == nothing["panoptic_quality"] == 0
