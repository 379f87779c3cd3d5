"""Small images as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from bundle.check.thumbnails import SIDE, image_thumbnail, slice_thumbnail


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))))


def colored(pixels: np.ndarray) -> np.ndarray:
    return (pixels.max(axis=2).astype(int) - pixels.min(axis=2)) > 60


def test_a_image_keeps_its_sides_and_gets_the_outline() -> None:
    label = np.zeros((100, 200), np.uint8)
    label[25:75, 50:150] = 1
    small = decoded(image_thumbnail(np.full((100, 200, 3), 128, np.uint8), label))
    assert small.shape == (SIDE // 2, SIDE, 3)
    rows, columns = np.nonzero(colored(small))
    assert abs(rows.min() - 18) <= 2
    assert abs(columns.max() - 108) <= 2
    assert not colored(small)[SIDE // 4, SIDE // 2]


def test_a_mask_of_another_size_is_not_drawn() -> None:
    small = decoded(image_thumbnail(np.full((50, 50, 3), 128, np.uint8), np.ones((20, 20), np.uint8)))
    assert not colored(small).any()


def test_a_slice_is_upright_and_has_its_true_sides() -> None:
    plane = np.zeros((40, 20))
    plane[:, 15:] = 1
    small = decoded(slice_thumbnail(plane, (1.0, 4.0)))
    assert small.shape == (SIDE, SIDE // 2, 3)
    assert small[5].mean() > 200
    assert small[-5].mean() < 50


def test_labels_and_points_are_drawn() -> None:
    label = np.zeros((40, 40))
    label[10:30, 10:30] = 1
    assert colored(decoded(slice_thumbnail(np.zeros((40, 40)), (1, 1), label))).any()
    rows, columns = np.nonzero(
        colored(decoded(slice_thumbnail(np.zeros((40, 40)), (1, 1), points=np.array([[10, 30]]))))
    )
    assert abs(columns.mean() - 10.5 / 40 * SIDE) < 3
    assert abs(rows.mean() - 9.5 / 40 * SIDE) < 3
