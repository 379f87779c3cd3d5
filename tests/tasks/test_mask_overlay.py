"""Overlays change the colors of an image only where its masks are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bundle.tasks.images.mask_overlay import AGREEMENT, COLORS, REFERENCE, borders_between, contour, overlay

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
MASK = np.zeros((40, 50), np.uint8)
MASK[10:30, 15:40] = 1


def blended(pixels: np.ndarray, color: tuple[int, int, int], alpha: float) -> np.ndarray:
    return np.round(pixels.astype(float) * (1 - alpha) + alpha * np.array(color))


def test_a_class_is_tinted_within_its_contour() -> None:
    drawn, line = overlay(PIXELS, MASK, alpha=0.25), contour(MASK > 0)
    np.testing.assert_array_equal(drawn[MASK == 0], PIXELS[MASK == 0])
    assert (drawn[line] == COLORS[0]).all()
    inside = (MASK > 0) & ~line
    np.testing.assert_allclose(drawn[inside], blended(PIXELS[inside], COLORS[0], 0.25), atol=1)


def test_true_and_false_positives_and_negatives_have_their_colors() -> None:
    reference = np.roll(MASK, 5, axis=1)
    drawn = overlay(PIXELS, MASK, reference, alpha=1.0)
    line = contour(reference > 0)
    parts = {
        "true_positive": (MASK > 0) & (reference > 0),
        "false_positive": (MASK > 0) & (reference == 0),
        "false_negative": (MASK == 0) & (reference > 0),
    }
    for name, part in parts.items():
        assert (drawn[part & ~line] == AGREEMENT[name]).all()
    assert (drawn[line] == REFERENCE).all()
    outside = (MASK == 0) & (reference == 0)
    np.testing.assert_array_equal(drawn[outside], PIXELS[outside])


def test_pixels_that_nobody_labeled_are_not_tinted() -> None:
    reference = MASK.astype(np.int16)
    reference[:, 30:] = -1
    drawn = overlay(PIXELS, MASK, reference, alpha=1.0)
    np.testing.assert_array_equal(drawn[reference < 0], PIXELS[reference < 0])


def test_a_pixel_of_the_wrong_class_is_a_false_positive() -> None:
    drawn = overlay(PIXELS, MASK * 2, MASK, alpha=1.0)
    inside = (MASK > 0) & ~contour(MASK > 0)
    assert (drawn[inside] == AGREEMENT["false_positive"]).all()


def test_borders_between_objects_are_drawn_and_others_are_not() -> None:
    objects = np.zeros((9, 12), dtype=np.int32)
    objects[2:7, 1:6], objects[2:7, 6:11] = 1, 2
    border = borders_between(objects)
    assert np.flatnonzero(border.any(0)).tolist() == [5, 6]
    assert border[2:7, 5:7].all()
    drawn = overlay(np.zeros((9, 12, 3), np.uint8), (objects > 0).astype(np.uint8), objects=objects)
    assert (drawn[4, 5:7].max(1) >= 80).all()


def test_sixteen_bits_become_eight_and_the_image_is_not_changed() -> None:
    pixels = PIXELS.astype(np.uint16) * 257
    before = pixels.copy()
    np.testing.assert_array_equal(overlay(pixels, np.zeros_like(MASK)), PIXELS)
    overlay(pixels, MASK, MASK)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("width", [1, 3])
def test_a_contour_is_what_erosion_takes_off(width: int) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(40, 50)), 4) > 0
    inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=1)
    np.testing.assert_array_equal(contour(mask, width), mask & ~inner)


def test_the_contour_of_a_large_image_is_wider() -> None:
    mask = np.zeros((1200, 30), np.uint8)
    mask[:, :20] = 1
    drawn = overlay(np.zeros((1200, 30, 3), np.uint8), mask)
    assert (drawn == COLORS[0]).all(axis=2).sum() == 3 * 1200
