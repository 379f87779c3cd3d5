"""Small images of items for the page, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, ImageColor
from scipy.ndimage import binary_erosion

from bundle.visualize.colors import COLORS

SIDE = 144
"""Longest side in pixels."""

DOT = 2
"""Half the side of a point, in pixels."""


def image_thumbnail(pixels: np.ndarray, label: np.ndarray | None = None) -> str:
    """Return an image ``(H, W, 3)``, uint8, with the outlines of the classes of ``label`` ``(H, W)``."""
    image = Image.fromarray(pixels)
    size = _size(image.width, image.height)
    small = np.array(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))
    if label is not None and label.shape == pixels.shape[:2]:
        _outline(small, np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST)))
    return _uri(small)


def slice_thumbnail(
    plane: np.ndarray,
    spacing: tuple[float, float],
    label: np.ndarray | None = None,
    points: np.ndarray | None = None,
) -> str:
    """Return a slice of a volume, the second axis upward, from its 1st to its 99.5th percentile.

    Args:
        plane: ``(I, J)``.
        spacing: along I and J in mm.
        label: outlines of its classes are drawn; ``(I, J)``.
        points: indices ``(n, 2)`` at which dots are drawn.
    """
    low, high = np.percentile(plane, [1, 99.5])
    gray = np.clip((plane - low) / (high - low if high > low else 1), 0, 1) * 255
    upright = np.ascontiguousarray(gray.T[::-1]).astype(np.uint8)
    size = _size(plane.shape[0] * spacing[0], plane.shape[1] * spacing[1])
    small = np.array(Image.fromarray(upright).convert("RGB").resize(size, Image.Resampling.BILINEAR))
    if label is not None:
        values = np.ascontiguousarray(label.T[::-1]).astype(np.int32)
        _outline(small, np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST)))
    for i, j in np.empty((0, 2)) if points is None else points:
        column = int((i + 0.5) / plane.shape[0] * size[0])
        row = int((1 - (j + 0.5) / plane.shape[1]) * size[1])
        small[max(row - DOT, 0) : row + DOT, max(column - DOT, 0) : column + DOT] = _color(1)
    return _uri(small)


def _size(width: float, height: float) -> tuple[int, int]:
    scale = SIDE / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _outline(pixels: np.ndarray, label: np.ndarray) -> None:
    """Draw the inner border of every class."""
    for value in np.unique(label[label > 0]):
        region = label == value
        pixels[region & ~binary_erosion(region)] = _color(int(value))


def _color(value: int) -> tuple[int, ...]:
    return ImageColor.getrgb(COLORS[(value - 1) % len(COLORS)])


def _uri(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
