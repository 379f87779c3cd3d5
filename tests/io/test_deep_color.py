"""Color images of 16 bits keep all bits, or are refused, or get a remark."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from test_images import UPRIGHT, disc

from bundle.io import LoadColorImaged
from bundle.io.images import PixelTypeError, read_image, read_mask

DEEP = np.random.default_rng(0).integers(0, 65536, (9, 14, 4)).astype(np.uint16)
RGB, RGBA = DEEP[..., :3], DEEP
CAMERA = RGB >> 4
"""Pixels of a camera with 12 bits."""


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels ``(H, W, C)``, uint16, as a PNG of 16 bits whose lines have all filters but the first."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
    lines = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8)
    above = np.vstack([np.zeros_like(lines[:1]), lines[:-1]])
    rows = b"".join(b"\2" + (line - up).tobytes() for line, up in zip(lines, above, strict=True))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def write_tiff(
    path: Path, pixels: np.ndarray, order: str = "<", *, photometric: int = 2, compress: bool = False, **tags: int
) -> Path:
    """Write pixels ``(H, W, C)``, uint16, as a TIFF of one strip, of this byte order, with further tags."""
    height, width, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if compress else data
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    entries = {256: width, 257: height, 258: (channels, 8), 259: 8 if compress else 1, 262: photometric}
    entries |= {273: 8 + len(bits), 277: channels, 278: height, 279: len(data)}
    entries |= {int(name.removeprefix("tag")): value for name, value in tags.items()}
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(bits) + len(data))
    content += bits + data + struct.pack(f"{order}H", len(entries))
    for tag, value in sorted(entries.items()):
        if isinstance(value, tuple):
            content += struct.pack(f"{order}HHII", tag, 3, *value)
        else:
            content += struct.pack(f"{order}HHII", tag, 4, 1, value)
    path.write_bytes(content + b"\0\0\0\0")
    return path


def write_itk(path: Path, pixels: np.ndarray) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=True), str(path))
    return path


WRITERS = {
    "PNG": lambda folder, pixels: write_png(folder / "a.png", pixels),
    "TIFF": lambda folder, pixels: write_tiff(folder / "a.tif", pixels),
    "TIFF big-endian": lambda folder, pixels: write_tiff(folder / "a.tif", pixels, ">"),
    "TIFF compressed": lambda folder, pixels: write_tiff(folder / "a.tif", pixels, compress=True),
    "TIFF big-endian compressed": lambda folder, pixels: write_tiff(folder / "a.tif", pixels, ">", compress=True),
    "PNG of ITK": lambda folder, pixels: write_itk(folder / "a.png", pixels),
    "TIFF of ITK": lambda folder, pixels: write_itk(folder / "a.tif", pixels),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_all_bits_of_a_color_image_are_read(kind: str, tmp_path: Path) -> None:
    image = read_image(WRITERS[kind](tmp_path, RGB))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert (image.pixels.dtype, image.remarks) == (np.uint16, ())
    loaded = LoadColorImaged("image")({"image": WRITERS[kind](tmp_path, RGB)})["image"]
    np.testing.assert_allclose(loaded.numpy(), np.moveaxis(RGB, 2, 0) / 65535, atol=1e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_an_image_of_12_bits_is_called_dim(kind: str, tmp_path: Path) -> None:
    image = read_image(WRITERS[kind](tmp_path, CAMERA))
    np.testing.assert_array_equal(image.pixels, CAMERA)
    (remark,) = image.remarks
    assert remark == f"the 16-bit pixels reach only {CAMERA.max()} of 65535, so the image is dim"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF big-endian"])
def test_transparent_pixels_of_16_bits_are_laid_on_black(kind: str, tmp_path: Path) -> None:
    pixels = RGBA.copy()
    pixels[..., 3] = 65535
    assert read_image(WRITERS[kind](tmp_path, pixels)).remarks == ()
    pixels[0, :, 3], pixels[1, :, 3] = 0, 32768
    image = read_image(WRITERS[kind](tmp_path, pixels))
    assert image.remarks == ("transparent pixels were laid on black",)
    assert not image.pixels[0].any()
    np.testing.assert_allclose(image.pixels[1], RGB[1] / 2, atol=1.01)
    np.testing.assert_array_equal(image.pixels[2:], RGB[2:])


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_images_of_16_bits_are_turned_upright(orientation: int, tmp_path: Path) -> None:
    image = read_image(write_tiff(tmp_path / "a.tif", RGB, tag274=orientation))
    np.testing.assert_array_equal(image.pixels, UPRIGHT[orientation](RGB))
    assert image.orientation == orientation


def test_where_8_bits_are_read_this_is_said(tmp_path: Path) -> None:
    image = read_image(write_png(tmp_path / "a.png", RGB[..., :2] | 255))
    assert image.remarks[0] == "only the upper 8 of the 16 bits of a channel are read"
    assert image.pixels.dtype == np.uint8
    image = read_image(write_tiff(tmp_path / "a.tif", RGBA, photometric=5))
    assert image.remarks == ("only the upper 8 of the 16 bits of a channel are read",)


@pytest.mark.parametrize("compress", [False, True])
def test_channels_in_planes_are_refused(compress: bool, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", RGB, compress=compress, tag284=2)
    with pytest.raises(PixelTypeError, match="16-bit channels in separate planes"):
        read_image(path)


@pytest.mark.parametrize("level", [1, 255, 65535])
@pytest.mark.parametrize("kind", WRITERS)
def test_masks_of_16_bit_color_hold_classes_or_levels(kind: str, level: int, tmp_path: Path) -> None:
    pixels = np.repeat(disc()[..., None] * np.uint16(level), 3, axis=2).astype(np.uint16)
    np.testing.assert_array_equal(read_mask(WRITERS[kind](tmp_path, pixels)).pixels, disc())


def test_images_of_8_bits_are_read_as_before(tmp_path: Path) -> None:
    pixels = (RGB >> 8).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.pixels.dtype, image.remarks) == (np.uint8, ())
