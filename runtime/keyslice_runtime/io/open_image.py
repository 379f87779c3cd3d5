"""Opening of 2D image files of any size, as long as they fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from PIL import Image

from keyslice_runtime.utils.memory import available_memory

from .input_checks import BadInputError

USUAL_PIXELS = 2 * 89_478_485
"""Number of pixels up to which an image is opened unchecked; above it, Pillow suspects a decompression bomb."""

BYTES_PER_PIXEL = 64
"""Memory that reading and preparing an image takes; 48 were measured, and a network needs more."""

_LIMIT = Lock()


class ImageTooLargeError(BadInputError):
    """The image does not fit in memory."""


@contextmanager
def open_image(file: str | Path) -> Iterator[Image.Image]:
    """Open an image with Pillow, whose limit of pixels is replaced by that of the available memory.

    The size is that of the header; nothing is decoded here. Pillow decodes TIFF by tiles, PNG and JPEG by rows, into
    the complete image.

    Raises:
        ImageTooLargeError: when the image does not fit.
    """
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        _check_size(file, image.width * image.height)
        yield image


def _check_size(file: str | Path, pixels: int) -> None:
    available = available_memory() if pixels > USUAL_PIXELS else float("inf")
    if pixels * BYTES_PER_PIXEL > available:
        raise ImageTooLargeError(
            file,
            f"is too large: its {pixels / 1e6:.0f} million pixels need {pixels * BYTES_PER_PIXEL / 1e9:.3g} GB of "
            f"memory, and {available / 1e9:.3g} GB are available",
            "cut it into several images, or export it at a lower resolution",
        )
