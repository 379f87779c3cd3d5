"""Overlays of masks on their pictures: a contour, and what was met, invented and missed where there is a reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

COLORS = ((86, 180, 233), (240, 228, 66), (204, 121, 167), (0, 114, 178), (213, 94, 0))
"""Colors of the classes from 1 on; they repeat. With :data:`AGREEMENT` the palette of Okabe and Ito, which people with
color vision deficiency can tell apart."""

AGREEMENT = {"met": (0, 158, 115), "invented": (230, 159, 0), "missed": (86, 180, 233)}
"""Colors of pixels that prediction and reference share (true positives), and that only one of them has."""

REFERENCE = (255, 255, 255)
"""Color of the contour of a reference."""

LINES = 400
"""A contour is as wide as the longer side of the picture by this."""


def overlay(
    pixels: np.ndarray, classes: np.ndarray, reference: np.ndarray | None = None, *, alpha: float = 0.35
) -> np.ndarray:
    """Return a picture with its predicted classes drawn on it.

    Without a reference every class is tinted and has its contour. With one, what was met, invented and missed is
    tinted by :data:`AGREEMENT`, and the reference has a white contour.

    Args:
        pixels: picture ``(H, W, 3)``, uint8 or uint16.
        classes: predicted class numbers ``(H, W)``, 0 for the background.
        reference: true class numbers of the same shape, or None.
        alpha: opacity of the tint, from 0 to 1.

    Returns:
        ``(H, W, 3)``, uint8.
    """
    drawn = pixels.copy() if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    width = max(1, round(max(classes.shape) / LINES))
    if reference is None:
        for value in np.unique(classes[classes > 0]).tolist():
            color, mask = COLORS[(value - 1) % len(COLORS)], classes == value
            _tint(drawn, mask, color, alpha)
            _tint(drawn, contour(mask, width), color, 1.0)
        return drawn
    wanted, found = reference > 0, classes > 0
    _tint(drawn, found & (classes == reference), AGREEMENT["met"], alpha)
    _tint(drawn, found & (classes != reference), AGREEMENT["invented"], alpha)
    _tint(drawn, wanted & ~found, AGREEMENT["missed"], alpha)
    for value in np.unique(reference[wanted]).tolist():
        _tint(drawn, contour(reference == value, width), REFERENCE, 1.0)
    return drawn


def contour(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """Return the pixels of a mask ``(H, W)`` that are less than ``width`` + 1 from its border, along rows or columns.

    The border of the picture is not one of the mask.
    """
    inner = ndimage.minimum_filter(mask.astype(np.uint8), size=2 * width + 1, mode="nearest")
    return mask & (inner == 0)


def _tint(drawn: np.ndarray, mask: np.ndarray, color: Sequence[int], alpha: float) -> None:
    for channel, value in enumerate(color):
        blended = np.round(np.arange(256) * (1 - alpha) + alpha * value).astype(np.uint8)
        np.copyto(drawn[..., channel], blended[drawn[..., channel]], where=mask)
