"""Images of any size are opened if they fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundle.io import open_image
from bundle.io.images import read_gray_levels, read_image, read_mask, upright_size
from bundle.io.open_image import BYTES_PER_PIXEL, ImageTooLargeError

READERS = [read_image, read_mask, read_gray_levels, upright_size]
PIXELS = {"gray": np.full((5, 8), 255, np.uint8), "deep": np.full((5, 8), 60000, np.uint16)}


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an image of 40 pixels be above the limit of Pillow, and have memory for 40 pixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(open_image, "USUAL_PIXELS", 20)
    monkeypatch.setattr(open_image, "available_memory", lambda: 40 * BYTES_PER_PIXEL)


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "bmp"])
def test_an_image_above_the_limit_of_pillow_is_read_if_it_fits(
    ending: str, read: Callable[[Path], Any], tmp_path: Path
) -> None:
    assert read(save(tmp_path / f"a.{ending}", PIXELS["gray"])) is not None
    assert Image.MAX_IMAGE_PIXELS == 10


def test_all_bits_of_large_images_are_read(tmp_path: Path) -> None:
    assert (read_image(save(tmp_path / "a.png", PIXELS["deep"])).pixels == 60000).all()


@pytest.mark.parametrize("read", READERS)
def test_an_image_that_does_not_fit_is_called_too_large(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((5, 9), np.uint8))
    with pytest.raises(ImageTooLargeError, match=r"a\.png: is too large: its 0 million pixels need 2\.88e-06 GB"):
        read(path)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_the_size_is_checked_before_a_pixel_is_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "a.bmp", np.zeros((500, 900), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ImageTooLargeError):
        read_image(path)


def test_the_limit_of_pillow_is_restored_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(OSError, match="cannot identify"), open_image.open_image(tmp_path / "a.png"):
        pass
    assert Image.MAX_IMAGE_PIXELS == 10
