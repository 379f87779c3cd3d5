"""Reading of 2D color images (PNG, JPEG, BMP, TIFF) and of their masks, for all pixel formats.

Images come out as RGB in rows and columns, upright as the EXIF tag says; masks as class numbers. What was done to get
there becomes a remark; what cannot be converted safely is a typed error of :mod:`bundle.io.input_checks`' kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from bundle.utils.label_names import IGNORED

from .deep_color import COMPLETE, combine_bytes, has_planes, is_deep, lay_on_black, raw_mode, read_low_bytes
from .input_checks import BadInputError, LabelValuesError, UnreadableFileError
from .open_image import open_image

EXIF_ORIENTATION = 0x0112
"""Number of the EXIF tag with the orientation of an image."""

IMAGE_WIDTH, IMAGE_LENGTH = 256, 257
"""Tags of TIFF with the size of the stored pixels."""

LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP")
"""Formats that do not keep gray levels as they are."""

MAX_UNCLEAR = 0.25
"""Largest share of a lossy mask that may lie far from every level; beyond it the file is no mask."""

COLOR_NOISE = 16
"""Largest difference between the color channels of a mask that still counts as gray."""

DIM = 1 / 8
"""A 16-bit image whose brightest pixel is below this share of the range gets a remark."""

ON_BLACK = "transparent pixels were laid on black"

_STORED = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
"""From upright to stored pixels by EXIF orientation: are the axes swapped, and then rows or columns reversed?"""


class PixelTypeError(BadInputError):
    """The file does not hold one color image: floating-point pixels, or several frames."""


@dataclass(frozen=True)
class StoredImage:
    """An image or mask as read from its file.

    Attributes:
        pixels: ``(H, W, 3)``, uint8 or uint16, for an image; ``(H, W)``, uint8, for a mask, or int16 with -1 for the
            pixels to ignore.
        orientation: EXIF orientation of the file, 1 to 8; the pixels are upright, the file has them turned.
        remarks: what was repaired or looks odd, as sentences for the user.
    """

    pixels: np.ndarray
    orientation: int
    remarks: tuple[str, ...]


class _Opened(NamedTuple):
    """A file as Pillow reads it: upright, with the lower bytes of 16-bit color, its EXIF orientation and remarks."""

    image: Image.Image
    low: Image.Image | None
    orientation: int
    remarks: list[str]


def read_image(file: str | Path) -> StoredImage:
    """Read an image as RGB.

    Gray, palette and CMYK pixels are converted, 16 bits are kept; transparent pixels are laid on black.

    Raises:
        UnreadableFileError: when the file is missing, empty, truncated or not an image.
        ImageTooLargeError: when it does not fit in memory.
        PixelTypeError: when it holds floating-point pixels or several frames.
    """
    image, low, orientation, remarks = _open(file)
    if image.mode.startswith("I"):
        pixels = np.repeat(_sixteen_bits(file, image)[..., None], 3, axis=2)
        _check_dim(pixels, remarks)
    elif low is not None:
        pixels = _deep_color(image, low, remarks)
        _check_dim(pixels, remarks)
    else:
        pixels = np.asarray(_rgb(image, remarks))
    if (pixels == pixels[0, 0]).all():
        remarks.append("all pixels have the same color")
    return StoredImage(pixels, orientation, tuple(remarks))


def read_mask(
    file: str | Path,
    levels: Sequence[int] = (255,),
    *,
    round_levels: bool = False,
    ignore_label: int | None = None,
) -> StoredImage:
    """Read a mask as class numbers, 0 for the background.

    A file holds a gray level per class, or the class numbers themselves. Levels between, from JPEG compression or, with
    ``round_levels``, from smoothing, become the nearest one.

    Args:
        file: path of the mask.
        levels: gray level of every class from 1 on, increasing, at most 255.
        round_levels: take the nearest level in files without loss as well.
        ignore_label: gray level of pixels that nobody labeled, which become -1; None for none.

    Raises:
        UnreadableFileError: when the file is missing, empty, truncated or not an image.
        ImageTooLargeError: when it does not fit in memory.
        PixelTypeError: when it holds floating-point pixels or several frames.
        LabelValuesError: when it is colored, or holds levels that are none of the classes.
    """
    opened = _open(file)
    image, _, orientation, remarks = opened
    gray = _gray_levels(file, opened)
    ignored = () if ignore_label is None else (ignore_label,)
    known, classes = _table((0, *levels), ignored)
    numbers, of_numbers = _table(range(len(levels) + 1), ignored)
    found = np.unique(gray)
    lossy = image.format in LOSSY
    if np.isin(found, known).all():
        labels = classes[np.searchsorted(known, gray)]
    elif np.isin(found, numbers).all() and not lossy:
        remarks.append("the pixels are class numbers, not gray levels")
        labels = of_numbers[np.searchsorted(numbers, gray)]
    elif lossy or round_levels:
        labels = classes[_nearest(file, gray, known, remarks)]
    else:
        foreign = found[~np.isin(found, known)]
        raise LabelValuesError(
            file,
            f"holds the gray levels {_shown(foreign)}, which are none of the classes {known.tolist()}",
            "set levels to those of the classes, or round_levels to true where they are smoothed borders",
        )
    return StoredImage(labels, orientation, tuple(remarks))


def _table(levels: Sequence[int], ignored: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the gray levels of a mask, increasing, and the class number of each, that of the ignored ones -1."""
    classes = {**dict(zip(levels, range(len(levels)), strict=True)), **dict.fromkeys(ignored, IGNORED)}
    known = sorted(classes)
    return np.array(known), np.array([classes[level] for level in known], np.int16 if ignored else np.uint8)


def read_gray_levels(file: str | Path) -> np.ndarray:
    """Read the gray levels of a mask, uint8 ``(H, W)``, upright.

    Raises:
        UnreadableFileError: when the file is missing, empty, truncated or not an image.
        ImageTooLargeError: when it does not fit in memory.
        PixelTypeError: when it holds floating-point pixels or several frames.
        LabelValuesError: when it is colored.
    """
    return _gray_levels(file, _open(file))


def color_values(pixels: np.ndarray) -> np.ndarray:
    """Return pixels ``(H, W, 3)``, uint8 or uint16, as values from 0 to 1 with the channels first, float32."""
    values = np.moveaxis(pixels, -1, 0).astype(np.float32, order="C")
    values *= np.float32(1 / np.iinfo(pixels.dtype).max)
    return values


def upright_size(file: str | Path) -> tuple[int, int]:
    """Return height and width of the upright image, without reading its pixels.

    Raises:
        UnreadableFileError: when the file is missing, empty or not an image.
        ImageTooLargeError: when it does not fit in memory.
    """
    _check_presence(file)
    try:
        with open_image(file) as image:
            tags: Any = getattr(image, "tag_v2", {})  # of TIFF, Pillow gives the upright size in new versions only
            height, width = tags.get(IMAGE_LENGTH, image.height), tags.get(IMAGE_WIDTH, image.width)
            return (width, height) if _orientation(image) > 4 else (height, width)
    except BadInputError:
        raise
    except Exception as error:
        raise _unreadable(file, error) from error


def stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn upright pixels ``(H, W, ...)`` back to how a file of this EXIF orientation stores them."""
    swapped, *flipped = _STORED[orientation]
    if swapped:
        pixels = np.swapaxes(pixels, 0, 1)
    return np.flip(pixels, tuple(axis for axis in (0, 1) if flipped[axis]))


def orientation_conflict(image: StoredImage, mask: StoredImage) -> tuple[str, str] | None:
    """Return what is unclear if an image and its mask have different EXIF orientations, and the remedy; else None."""
    if image.orientation == mask.orientation:
        return None
    return (
        f"has the EXIF orientation {mask.orientation}, its image {image.orientation}, "
        "and each was turned upright by its own",
        "if the mask was drawn on the stored pixels, write the EXIF orientation of the image into it",
    )


def _open(file: str | Path) -> _Opened:
    _check_presence(file)
    try:
        with open_image(file) as image:
            frames, name, raw = getattr(image, "n_frames", 1), image.format, raw_mode(image)
            if has_planes(image):
                raise PixelTypeError(
                    file, "has 16-bit channels in separate planes", "save it with the channels of a pixel side by side"
                )
            orientation = _orientation(image)  # of TIFF, loading takes the tag off
            image.load()
            upright = ImageOps.exif_transpose(image)
        low = read_low_bytes(file) if raw.startswith(COMPLETE) else None
    except BadInputError:
        raise
    except Exception as error:
        raise _unreadable(file, error) from error
    if frames > 1 and name != "MPO":
        raise PixelTypeError(file, f"holds {frames} frames", "save every frame as a separate image")
    if upright.mode == "F":
        raise PixelTypeError(file, "has floating-point pixels", "save it with 8 or 16 bits a channel")
    upright.format = name
    remarks = [] if orientation == 1 else [f"turned upright as its EXIF orientation {orientation} says"]
    if low is None and is_deep(upright, raw):
        remarks.append("only the upper 8 of the 16 bits of a channel are read")
    return _Opened(upright, low, orientation, remarks)


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(EXIF_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _check_presence(file: str | Path) -> None:
    path = Path(file)
    if not path.exists():
        raise UnreadableFileError(file, "does not exist", "check the path")
    if path.is_dir():
        raise UnreadableFileError(file, "is a folder", "name an image")
    if path.stat().st_size == 0:
        raise UnreadableFileError(file, "is empty", "copy or export it again")


def _unreadable(file: str | Path, error: Exception) -> BadInputError:
    return UnreadableFileError(
        file,
        f"cannot be read as an image ({error})",
        "it may be cut off or no PNG, JPEG, BMP or TIFF; export it again",
    )


def _sixteen_bits(file: str | Path, image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise PixelTypeError(file, "has pixels beyond 16 bits", "save it with 8 or 16 bits a channel")
    return pixels.astype(np.uint16)


def _deep_color(image: Image.Image, low: Image.Image, remarks: list[str]) -> np.ndarray:
    """Return the RGB pixels of a 16-bit color image."""
    pixels, is_transparent = lay_on_black(combine_bytes(image, low))
    if is_transparent:
        remarks.append(ON_BLACK)
    return pixels


def _check_dim(pixels: np.ndarray, remarks: list[str]) -> None:
    """Note that 16-bit pixels use a small part of their range."""
    if 0 < pixels.max() < DIM * 65535:
        remarks.append(f"the 16-bit pixels reach only {pixels.max()} of 65535, so the image is dim")


def _rgb(image: Image.Image, remarks: list[str]) -> Image.Image:
    """Convert to RGB; transparent pixels are laid on black."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    colored = image.convert("RGBA")
    if colored.getchannel("A").getextrema()[0] == 255:
        return colored.convert("RGB")
    remarks.append(ON_BLACK)
    return Image.alpha_composite(Image.new("RGBA", colored.size, (0, 0, 0, 255)), colored).convert("RGB")


def _gray_levels(file: str | Path, opened: _Opened) -> np.ndarray:
    """Return the gray levels of a mask, 0 to 255, or the numbers of a colored palette."""
    image, low, _, remarks = opened
    if image.mode.startswith("I"):
        return _eight_bits(_sixteen_bits(file, image))
    pixels = np.asarray(_rgb(image, remarks)) if low is None else _eight_bits(_deep_color(image, low, remarks))
    colors = pixels.astype(np.int16)
    if (colors.max(axis=2) - colors.min(axis=2)).max() <= COLOR_NOISE:
        return np.round(colors.mean(axis=2)).astype(np.uint8)
    if image.mode == "P":
        return np.asarray(image)
    raise LabelValuesError(file, "is colored", "save the mask as gray levels, one per class")


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Return the gray levels of a 16-bit mask, which may hold levels of 8 bits."""
    return pixels if pixels.max() <= 255 else np.round(pixels / 257).astype(np.uint8)


def _nearest(file: str | Path, gray: np.ndarray, known: np.ndarray, remarks: list[str]) -> np.ndarray:
    """Return the class of the nearest level for every pixel, if most pixels are near one."""
    values = np.arange(256)
    distance = np.abs(values[:, None] - known[None])
    unclear = distance.min(axis=1) > np.diff(known).min() / 8
    share = float(unclear[gray].mean())
    if share > MAX_UNCLEAR:
        raise LabelValuesError(
            file,
            f"is no mask of the levels {known.tolist()}: {share:.0%} of its pixels are far from all of them",
            "name a mask, or set levels to the gray levels of the classes",
        )
    remarks.append(f"gray levels between the classes became the nearest ({share:.1%} of the pixels are far from all)")
    return distance.argmin(axis=1).astype(np.uint8)[gray]


def _shown(values: np.ndarray) -> str:
    return ", ".join(str(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")
