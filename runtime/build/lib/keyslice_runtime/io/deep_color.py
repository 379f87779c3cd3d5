"""Color images of 16 bits per channel, of which Pillow decodes the upper 8 bits: the lower 8 are decoded as well."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .open_image import open_image

COMPLETE = ("RGB;16", "RGBX;16", "RGBA;16")
"""Beginnings of the raw modes of Pillow whose lower bytes can be decoded."""

OTHER_ORDER = {"B": "L", "L": "B"}
NATIVE = {"little": "L", "big": "B"}[sys.byteorder]

PLANAR_CONFIGURATION = 284
"""Tag of TIFF; 2 for channels in separate planes."""

BITS_PER_SAMPLE = 258


def raw_mode(image: Image.Image) -> str:
    """Return the raw mode of Pillow for a file that is open and not loaded, such as ``"RGB;16B"``; else ``""``."""
    tiles: Any = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def is_deep(image: Image.Image, raw: str) -> bool:
    """Return whether an image of this raw mode has color channels of 16 bits."""
    return not image.mode.startswith("I") and raw[-4:-1] == ";16"


def has_planes(image: Image.Image) -> bool:
    """Return whether a file has channels of more than 8 bits in separate planes, which Pillow reads wrongly."""
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(PLANAR_CONFIGURATION) == 2 and max(tags.get(BITS_PER_SAMPLE, (8,))) > 8


def read_low_bytes(file: str | Path) -> Image.Image:
    """Return the lower bytes of an image of a raw mode in :data:`COMPLETE`, upright, in the mode of the upper ones.

    Pillow keeps the first byte of a big-endian and the second of a little-endian pixel; the other one is decoded as if
    the file had the other byte order.
    """
    with open_image(file) as opened:
        image: Any = opened
        tiles = image.tile
        swapped = [getattr(type(tile), "_make", tuple)([*tile[:3], _swap(tile[3])]) for tile in tiles]
        image.tile = swapped
        image.load()
        return ImageOps.exif_transpose(image)


def combine_bytes(high: Image.Image, low: Image.Image) -> np.ndarray:
    """Return the pixels of 16 bits ``(H, W, C)``, uint16, from their upper and lower bytes."""
    return np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)


def lay_on_black(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return RGB pixels of 16 bits, and whether RGBA pixels were transparent and laid on black."""
    color, alpha = pixels[..., :3], pixels[..., 3:]
    if not alpha.size or alpha.min() == 65535:
        return color, False
    return (np.round(color * (alpha / 65535.0))).astype(np.uint16), True


def _swap(args: Any) -> Any:
    """Return the arguments of a decoder with the other byte order."""
    if isinstance(args, str):
        return args[:-1] + OTHER_ORDER.get(args[-1], OTHER_ORDER[NATIVE])
    return (_swap(args[0]), *args[1:])
