"""Overlays of masks on their images: contours, and true and false positives and negatives with a reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

COLORS = ((86, 180, 233), (240, 228, 66), (204, 121, 167), (0, 114, 178), (213, 94, 0))
"""Colors of the classes from 1 on; they repeat. The palette of Okabe and Ito, which can be distinguished by people with
color vision deficiency, also used by :data:`AGREEMENT`."""

AGREEMENT = {"true_positive": (0, 158, 115), "false_positive": (230, 159, 0), "false_negative": (86, 180, 233)}
"""Colors of pixels by the agreement of prediction and reference."""

REFERENCE = (255, 255, 255)
"""Color of the contour of a reference."""

LINES = 400
"""The width of a contour is the longer side of the image divided by this."""


def overlay(
    pixels: np.ndarray,
    classes: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    alpha: float = 0.35,
    objects: np.ndarray | None = None,
) -> np.ndarray:
    """Return an image with its predicted classes drawn on it.

    Without a reference, every class is tinted and has a contour. With one, true positives, false positives and false
    negatives are tinted in the colors of :data:`AGREEMENT`, and the reference has a white contour.

    Args:
        pixels: image ``(H, W, 3)``, uint8 or uint16.
        classes: predicted class numbers ``(H, W)``, 0 for the background.
        reference: reference class numbers of the same shape, or None; pixels below 0, which nobody labeled, are not
            tinted.
        alpha: opacity of the tint, from 0 to 1.
        objects: numbers of single objects of the same shape, whose borders with each other are drawn, or None.

    Returns:
        ``(H, W, 3)``, uint8.
    """
    drawn = pixels.copy() if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    width = max(1, round(max(classes.shape) / LINES))
    if objects is not None:
        _tint(drawn, borders_between(objects, width), REFERENCE, 1.0)
    if reference is None:
        for value in np.unique(classes[classes > 0]).tolist():
            color, mask = COLORS[(value - 1) % len(COLORS)], classes == value
            _tint(drawn, mask, color, alpha)
            _tint(drawn, contour(mask, width), color, 1.0)
        return drawn
    wanted, found = reference > 0, (classes > 0) & (reference >= 0)
    _tint(drawn, found & (classes == reference), AGREEMENT["true_positive"], alpha)
    _tint(drawn, found & (classes != reference), AGREEMENT["false_positive"], alpha)
    _tint(drawn, wanted & ~found, AGREEMENT["false_negative"], alpha)
    for value in np.unique(reference[wanted]).tolist():
        _tint(drawn, contour(reference == value, width), REFERENCE, 1.0)
    return drawn


def contour(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """Return the pixels of a mask ``(H, W)`` that are less than ``width`` + 1 from its border, along rows or columns.

    The border of the image is not a border of the mask.

    Examples:
        >>> mask = np.zeros((6, 6), dtype=bool)
        >>> mask[1:5, 1:5] = True
        >>> int(contour(mask).sum())
        12
    """
    inner = ndimage.minimum_filter(mask.astype(np.uint8), size=2 * width + 1, mode="nearest")
    return mask & (inner == 0)


def borders_between(objects: np.ndarray, width: int = 1) -> np.ndarray:
    """Return the pixels of objects that are at most ``width`` from another object, along rows or columns.

    Examples:
        >>> borders_between(np.array([[1, 1, 1, 2, 2, 0]])).astype(int)
        array([[0, 0, 1, 1, 0, 0]])
    """
    highest = ndimage.maximum_filter(objects, size=2 * width + 1, mode="nearest")
    lowest = ndimage.minimum_filter(np.where(objects > 0, objects, highest), size=2 * width + 1, mode="nearest")
    return (objects > 0) & (lowest != highest)


def _tint(drawn: np.ndarray, mask: np.ndarray, color: Sequence[int], alpha: float) -> None:
    for channel, value in enumerate(color):
        blended = np.round(np.arange(256) * (1 - alpha) + alpha * value).astype(np.uint8)
        np.copyto(drawn[..., channel], blended[drawn[..., channel]], where=mask)
