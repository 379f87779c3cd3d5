"""Every kind of file gives upright RGB or class numbers, or an error that says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from bundle.io.images import (
    EXIF_ORIENTATION,
    PixelTypeError,
    read_image,
    read_mask,
    stored,
    upright_size,
)
from bundle.io.input_checks import BadInputError, LabelValuesError, UnreadableFileError

COLORS = np.random.default_rng(0).integers(0, 256, (5, 8, 3)).astype(np.uint8)
GRAY = COLORS[..., 0]
TO_LAB = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
UPRIGHT = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(np.swapaxes(pixels, 0, 1), 2),
    8: np.rot90,
}
"""What the EXIF standard asks a viewer to do."""


def disc(size: int = 64, radius: int = 20) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size // 2
    return (rows**2 + columns**2 < radius**2).astype(np.uint8)


def save(image: Image.Image, path: Path, orientation: int | None = None, **options: object) -> Path:
    if orientation is not None:
        exif = image.getexif()
        exif[EXIF_ORIENTATION] = orientation
        options["exif"] = exif
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff"])
def test_rows_are_the_first_axis_and_columns_the_second(ending: str, tmp_path: Path) -> None:
    image = read_image(save(Image.fromarray(COLORS), tmp_path / f"a.{ending}"))
    np.testing.assert_array_equal(image.pixels, COLORS)
    assert (image.orientation, image.remarks) == (1, ())


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_other_kinds_of_pixels_become_rgb(mode: str, tmp_path: Path) -> None:
    gray = Image.fromarray(np.where(GRAY > 127, 255, 0).astype(np.uint8))
    image = ImageCms.applyTransform(gray.convert("RGB"), TO_LAB) if mode == "LAB" else gray.convert("RGB").convert(mode)
    image = read_image(save(image, tmp_path / "a.tiff"))
    assert (image.pixels.dtype, image.remarks) == (np.uint8, ())
    np.testing.assert_allclose(image.pixels, np.asarray(gray)[..., None].repeat(3, 2), atol=2)


def test_sixteen_bits_are_kept_and_a_dim_image_is_reported(tmp_path: Path) -> None:
    levels = GRAY.astype(np.uint16) * 257
    image = read_image(save(Image.fromarray(levels), tmp_path / "a.png"))
    np.testing.assert_array_equal(image.pixels, levels[..., None].repeat(3, 2))
    assert image.remarks == ()
    (remark,) = read_image(save(Image.fromarray(levels // 16), tmp_path / "b.png")).remarks
    assert "of 65535" in remark


def test_pixels_beyond_sixteen_bits_and_floating_point_are_refused(tmp_path: Path) -> None:
    for name, pixels in (("deep", GRAY.astype(np.int32) * 70000), ("float", GRAY.astype(np.float32))):
        with pytest.raises(PixelTypeError, match=r"8 or 16 bits"):
            read_image(save(Image.fromarray(pixels), tmp_path / f"{name}.tiff"))


def test_transparent_pixels_are_laid_on_black(tmp_path: Path) -> None:
    alpha = np.full((5, 8, 1), 255, np.uint8)
    alpha[0] = 0
    image = read_image(save(Image.fromarray(np.concatenate([COLORS, alpha], 2)), tmp_path / "a.png"))
    assert (image.pixels[0] == 0).all()
    np.testing.assert_array_equal(image.pixels[1:], COLORS[1:])
    assert image.remarks == ("transparent pixels were laid on black",)


@pytest.mark.parametrize("ending", ["png", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_and_back(orientation: int, ending: str, tmp_path: Path) -> None:
    path = save(Image.fromarray(COLORS), tmp_path / f"a.{ending}", orientation)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, UPRIGHT[orientation](COLORS))
    np.testing.assert_array_equal(stored(image.pixels, orientation), COLORS)
    assert image.orientation == orientation
    assert bool(image.remarks) == (orientation > 1)
    assert upright_size(path) == image.pixels.shape[:2]


def test_an_orientation_that_the_standard_does_not_know_is_passed_over(tmp_path: Path) -> None:
    assert read_image(save(Image.fromarray(COLORS), tmp_path / "a.png", 9)).orientation == 1


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    save(Image.fromarray(disc(64) * 200), whole := tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:-200])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    problems = {"cut": "jpg", "empty": "png", "text": "png", "folder": "png", "absent": "png"}
    for name, ending in problems.items():
        with pytest.raises(UnreadableFileError, match=f"{name}.{ending}: "):
            read_image(tmp_path / f"{name}.{ending}")
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        upright_size(tmp_path / "text.png")


def test_a_file_of_several_frames_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(COLORS), Image.fromarray(COLORS[::-1])]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    with pytest.raises(PixelTypeError, match="2 frames"):
        read_image(tmp_path / "a.tiff")
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.jpg").pixels.shape == (5, 8, 3)


def test_an_image_of_one_color_is_reported(tmp_path: Path) -> None:
    assert read_image(save(Image.new("RGB", (4, 4)), tmp_path / "a.png")).remarks == ("all pixels have the same color",)


@pytest.mark.parametrize("kind", ["gray", "rgb", "bilevel", "sixteen", "palette", "numbers", "opaque"])
def test_masks_of_every_kind_hold_the_same_classes(kind: str, tmp_path: Path) -> None:
    mask = disc()
    images = {
        "gray": Image.fromarray(mask * 255),
        "rgb": Image.fromarray(mask * 255).convert("RGB"),
        "bilevel": Image.fromarray(mask * 255).convert("1"),
        "sixteen": Image.fromarray(mask.astype(np.uint16) * 65535),
        "palette": Image.fromarray(mask).convert("P"),
        "numbers": Image.fromarray(mask),
        "opaque": Image.fromarray(mask * 255).convert("RGBA"),
    }
    images["palette"].putpalette([10, 20, 30, 250, 20, 30])
    image = read_mask(save(images[kind], tmp_path / "a.png"))
    np.testing.assert_array_equal(image.pixels, mask)
    assert image.pixels.dtype == np.uint8
    assert bool(image.remarks) == (kind in ("numbers", "palette"))


def test_sixteen_bits_may_hold_gray_levels_of_eight(tmp_path: Path) -> None:
    path = save(Image.fromarray(disc().astype(np.uint16) * 255), tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(path).pixels, disc())


def test_levels_become_classes_in_their_order(tmp_path: Path) -> None:
    classes = disc() + disc(radius=10)
    path = save(Image.fromarray(np.array([0, 128, 255], np.uint8)[classes]), tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(path, (128, 255)).pixels, classes)
    with pytest.raises(LabelValuesError, match=r"gray levels 128, .*round_levels"):
        read_mask(path)


def test_the_noise_of_jpeg_is_taken_off_a_mask(tmp_path: Path) -> None:
    classes = disc() + disc(radius=10)
    path = save(Image.fromarray(np.array([0, 128, 255], np.uint8)[classes]), tmp_path / "a.jpg", quality=75)
    assert len(np.unique(np.asarray(Image.open(path)))) > 3
    image = read_mask(path, (128, 255))
    assert (image.pixels != classes).mean() < 0.005
    assert "became the nearest" in image.remarks[0]


def test_noise_of_one_gray_level_in_an_empty_jpeg_is_not_a_class(tmp_path: Path) -> None:
    gray = np.zeros((64, 64), np.uint8)
    gray[:32] = 1
    image = read_mask(save(Image.fromarray(gray), tmp_path / "a.jpg", quality=100))
    assert not image.pixels.any()


def test_smoothed_borders_are_rounded_where_that_is_asked_for(tmp_path: Path) -> None:
    image = Image.fromarray(disc() * 255).resize((48, 48), Image.Resampling.BILINEAR)
    path = save(image, tmp_path / "a.png")
    with pytest.raises(LabelValuesError, match="which are none"):
        read_mask(path)
    np.testing.assert_array_equal(read_mask(path, round_levels=True).pixels, np.asarray(image) > 127)


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(LabelValuesError, match="is colored"):
        read_mask(save(Image.fromarray(COLORS), tmp_path / "a.png"))
    with pytest.raises(LabelValuesError, match="far from all of them"):
        read_mask(
            save(Image.fromarray(np.arange(4096, dtype=np.uint16).astype(np.uint8).reshape(64, 64)), tmp_path / "b.jpg")
        )


def test_every_error_is_one_of_bad_input() -> None:
    assert issubclass(PixelTypeError, BadInputError)


IGNORING: dict[str, tuple[list[int], list[int], list[int]]] = {
    "gray levels": ([0, 128, 255], [255], [0, -1, 1]),
    "class numbers": ([0, 1, 128], [255], [0, 1, -1]),
    "several classes": ([0, 64, 128, 255], [64, 255], [0, 1, -1, 2]),
    "none ignored": ([0, 255, 255], [255], [0, 1, 1]),
}


@pytest.mark.parametrize("name", IGNORING)
def test_pixels_that_nobody_labeled_become_minus_1(name: str, tmp_path: Path) -> None:
    stored, levels, expected = IGNORING[name]
    path = save(Image.fromarray(np.array([stored], np.uint8)), tmp_path / "m.png")
    assert read_mask(path, levels, ignore_label=128).pixels.tolist() == [expected]


def test_pixels_to_ignore_in_a_smoothed_mask(tmp_path: Path) -> None:
    path = save(Image.fromarray(np.array([[0, 3, 126, 130, 250, 255] * 4], np.uint8)), tmp_path / "m.png")
    found = read_mask(path, [255], round_levels=True, ignore_label=128).pixels
    assert found.tolist() == [[0, 0, -1, -1, 1, 1] * 4]
