from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, rotation
from monai.data import MetaTensor
from monai.transforms import Compose, RandAffined, RandSpatialCropd, SpatialPadd

from bundle.tasks.spine.disc_augment import RandFieldOfViewd

SHAPE = (120, 180)
PLACES = {20: (60.0, 150.0), 21: (62.0, 120.0), 22: (58.0, 85.0), 23: (55.0, 50.0)}


def slab(turn: float = 8.0) -> MetaTensor:
    """Return a slab with one channel for the row and one for the column of every pixel."""
    affine = rotation(turn, turn, 0) @ np.diag([6.0, 1.5, 1.5, 1.0])
    affine[:3, 3] = 12, -80, 40
    grid = torch.stack(torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in SHAPE], indexing="ij"))
    return meta_tensor(grid[:, None], affine)


def points_of(image: MetaTensor) -> np.ndarray:
    affine = np.asarray(image.affine)
    return np.array([[value, *(affine @ [0.5, *place, 1.0])[:3]] for value, place in PLACES.items()])


def pixels_of(image: MetaTensor, points: np.ndarray) -> np.ndarray:
    world = np.column_stack([points[:, 1:], np.ones(len(points))])
    return (world @ np.linalg.inv(np.asarray(image.affine)).T)[:, 1:3]


@pytest.mark.parametrize("seed", range(5))
def test_the_affine_of_monai_after_augmentation_gives_the_origin_of_every_pixel(seed: int) -> None:
    image = slab()
    transform = Compose(
        [
            RandAffined(
                "image",
                prob=1.0,
                rotate_range=[0.3, 0.0, 0.0],
                scale_range=[0.0, 0.2, 0.2],
                translate_range=[0, 15, 15],
                mode="bilinear",
                padding_mode="border",
            ),
            RandFieldOfViewd("image", prob=1.0, height=(90, 150), depth=(90, 150)),
            SpatialPadd("image", spatial_size=[1, 100, 110], mode="edge"),
            RandSpatialCropd("image", roi_size=[1, 90, 80], random_size=False),
        ]
    )
    transform.set_random_state(seed)
    made = transform({"image": image})["image"]
    assert made.shape == (2, 1, 90, 80)
    rows, columns = np.meshgrid(np.arange(90), np.arange(80), indexing="ij")
    here = np.stack([np.zeros(rows.size), rows.ravel(), columns.ravel(), np.ones(rows.size)])
    there = np.linalg.inv(np.asarray(image.affine)) @ np.asarray(made.affine) @ here
    inside = ((there[1:3] > 0) & (there[1:3] < np.array(SHAPE)[:, None] - 1)).all(0)
    seen = made.as_tensor().reshape(2, -1).numpy()
    interior = inside & (np.abs(seen - there[1:3]).max(0) < 0.5)
    assert interior.sum() > 0.3 * rows.size
    np.testing.assert_allclose(seen[:, interior], there[1:3, interior], atol=1e-3)
    np.testing.assert_allclose(there[0], 0, atol=1e-9)


def test_a_window_shows_some_discs_at_their_positions_and_makes_the_others_nan() -> None:
    image = slab()
    points = points_of(image)
    transform = RandFieldOfViewd("image", prob=1.0, height=(50, 250), depth=(90, 160))
    transform.set_random_state(0)
    counts = []
    for _ in range(200):
        made = transform({"image": image, "points": points})
        crop, kept = made["image"], made["points"]
        low, high = np.asarray(crop[:, 0, 0, 0]), np.asarray(crop[:, 0, -1, -1])
        expected = np.array([all(low - 0.5 <= place) and all(place <= high + 0.5) for place in PLACES.values()])
        np.testing.assert_array_equal(np.isfinite(kept).all(1), expected)
        np.testing.assert_array_equal(kept[expected], points[expected])
        np.testing.assert_array_equal(kept[:, 0], points[:, 0])
        pixels = np.rint(pixels_of(crop, kept[expected])).astype(int)
        seen = np.array([[crop[axis, 0, row, column] for axis in (0, 1)] for row, column in pixels])
        np.testing.assert_allclose(seen, np.array(list(PLACES.values()))[expected], atol=0.51)
        assert np.all(np.array(crop.shape[2:]) * 1.5 <= [160 + 1.5, 250 + 1.5])
        counts.append(int(expected.sum()))
    assert set(counts) == {1, 2, 3, 4}


def test_windows_are_in_mm_and_at_most_the_image() -> None:
    image = slab(turn=0.0)
    made = RandFieldOfViewd("image", prob=1.0, height=(60, 60), depth=(45, 45))({"image": image})["image"]
    assert made.shape == (2, 1, 30, 40)
    made = RandFieldOfViewd("image", prob=1.0, height=(900, 999), depth=(900, 999))({"image": image})
    assert made["image"].shape == image.shape
    assert "points" not in made


def test_without_a_disc_in_view_the_window_lies_anywhere() -> None:
    image = slab(turn=0.0)
    transform = RandFieldOfViewd("image", prob=1.0, height=(60, 60), depth=(45, 45))
    transform.set_random_state(0)
    case = {"image": image, "points": np.array([[5.0, np.nan, np.nan, np.nan]])}
    starts = np.array([np.asarray(transform(case)["image"][:, 0, 0, 0]) for _ in range(300)])
    assert starts.min(0).tolist() == pytest.approx([0, 0], abs=5)
    assert starts.max(0).tolist() == pytest.approx([90, 140], abs=5)


def test_a_disc_at_the_border_of_the_image_is_kept_in_the_window() -> None:
    image = slab(turn=0.0)
    corner = (np.asarray(image.affine) @ [0, -0.4, 179.4, 1])[:3]
    case = {"image": image, "points": np.array([[5.0, *corner]])}
    transform = RandFieldOfViewd("image", prob=1.0, height=(60, 60), depth=(45, 45))
    transform.set_random_state(0)
    assert all(np.isfinite(transform(case)["points"]).all() for _ in range(20))


def test_a_window_is_taken_with_its_probability_and_the_points_are_not_touched() -> None:
    image = slab()
    points = points_of(image)
    case = {"image": image, "points": points.copy()}
    transform = RandFieldOfViewd("image", prob=0.3, height=(50, 60))
    transform.set_random_state(0)
    cropped = sum(transform(case)["image"].shape != image.shape for _ in range(200))
    assert 40 < cropped < 80
    np.testing.assert_array_equal(case["points"], points)


@pytest.mark.parametrize("options", [{"height": (0, 10)}, {"depth": (20, 10)}, {"depth": (20,)}, {"keys": ["a", "b"]}])
def test_impossible_windows_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"positive, increasing numbers of mm|belong to one image"):
        RandFieldOfViewd(**{"keys": "image", **options})
