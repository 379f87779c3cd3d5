"""LoadColorImaged gives images and masks as tensors of rows and columns, and refuses what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import decollate_batch, list_data_collate
from PIL import Image

from bundle.io import LoadColorImaged
from bundle.io.images import EXIF_ORIENTATION
from bundle.io.input_checks import GridMismatchError, LabelValuesError, UnreadableFileError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
MASK = np.zeros((40, 60), np.uint8)
MASK[5:20, 10:50] = 255


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    return write(tmp_path, Image.fromarray(PIXELS), Image.fromarray(MASK))


def write(folder: Path, image: Image.Image, mask: Image.Image) -> dict[str, str]:
    image.save(folder / "image.png")
    mask.save(folder / "mask.png")
    return {"image": str(folder / "image.png"), "label": str(folder / "mask.png")}


def test_images_lie_between_0_and_1_and_masks_hold_class_numbers(pair: dict[str, str]) -> None:
    loaded = LoadColorImaged(["image", "label"])({**pair, "case": "a"})
    assert loaded["case"] == "a"
    assert (loaded["image"].dtype, loaded["label"].dtype) == (torch.float32, torch.float32)
    np.testing.assert_allclose(loaded["image"].numpy(), np.moveaxis(PIXELS, 2, 0) / 255, atol=1e-6)
    np.testing.assert_array_equal(loaded["label"].numpy(), MASK[None] > 0)
    assert loaded["image"].meta["original_size"] == [40, 60]
    assert loaded["image"].meta["filename_or_obj"] == pair["image"]
    assert (loaded["image"].meta["orientation"], loaded["image"].meta["remarks"]) == (1, "")


def test_sixteen_bits_span_the_same_range(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    Image.fromarray(levels).save(tmp_path / "a.png")
    image = LoadColorImaged("image")({"image": tmp_path / "a.png"})["image"]
    np.testing.assert_allclose(image.numpy(), np.repeat(levels[None] / 65535, 3, 0), atol=1e-6)


def test_levels_become_classes(pair: dict[str, str]) -> None:
    gray = MASK.copy()
    gray[5:20, 10:30] = 128
    Image.fromarray(gray).save(pair["label"])
    label = LoadColorImaged("label", levels=[128, 255])({"label": pair["label"]})["label"]
    np.testing.assert_array_equal(label[0].numpy(), np.searchsorted([0, 128, 255], gray))
    with pytest.raises(LabelValuesError, match=r"mask\.png: holds the gray levels 128"):
        LoadColorImaged(["image", "label"])(pair)
    rounded = LoadColorImaged("label", round_levels="true")({"label": pair["label"]})["label"]
    np.testing.assert_array_equal(rounded[0].numpy(), gray >= 128)


def test_a_turned_image_and_its_turned_mask_stay_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    upright = LoadColorImaged(["image", "label"])(write(tmp_path, Image.fromarray(PIXELS), Image.fromarray(MASK)))
    turned = {}
    for key, pixels in (("image", PIXELS), ("label", MASK)):
        image = Image.fromarray(np.rot90(pixels).copy())
        exif = image.getexif()
        exif[EXIF_ORIENTATION] = 6
        turned[key] = str(tmp_path / f"turned_{key}.png")
        image.save(turned[key], exif=exif)
    loaded = LoadColorImaged(["image", "label"])(turned)
    for key in turned:
        assert torch.equal(loaded[key].as_tensor(), upright[key].as_tensor())
        assert loaded[key].meta["orientation"] == 6
    assert "turned upright" in loaded["image"].meta["remarks"]
    assert "turned_image.png: turned upright" in caplog.text


def test_a_mask_of_another_size_is_refused_or_resized_where_that_is_asked_for(pair: dict[str, str]) -> None:
    Image.fromarray(MASK).resize((120, 80), Image.Resampling.NEAREST).save(pair["label"])
    with pytest.raises(GridMismatchError, match=r"mask\.png: is 120 x 80 pixels, its image .* 60 x 40; .*resize_mask"):
        LoadColorImaged(["image", "label"])(pair)
    loaded = LoadColorImaged(["image", "label"], resize_mask=True)(pair)
    np.testing.assert_array_equal(loaded["label"].numpy(), MASK[None] > 0)
    assert loaded["label"].meta["remarks"] == "brought from 120 x 80 to 60 x 40 pixels"


def test_a_mask_of_another_aspect_is_never_resized(pair: dict[str, str]) -> None:
    Image.fromarray(np.rot90(MASK).copy()).save(pair["label"])
    with pytest.raises(GridMismatchError, match="another aspect ratio"):
        LoadColorImaged(["image", "label"], resize_mask=True)(pair)


def test_levels_that_do_not_rise_are_refused() -> None:
    for levels in ([], [0, 255], [255, 128], [128, 128], [256]):
        with pytest.raises(ValueError, match="levels must be increasing"):
            LoadColorImaged("label", levels=levels)


def test_missing_keys_and_files(tmp_path: Path) -> None:
    assert LoadColorImaged("image", allow_missing_keys=True)({"other": 1}) == {"other": 1}
    with pytest.raises(UnreadableFileError, match="does not exist"):
        LoadColorImaged("image")({"image": tmp_path / "absent.png"})


def test_loaded_images_go_through_a_batch(pair: dict[str, str]) -> None:
    loaded = LoadColorImaged(["image", "label"])(pair)
    (back,) = decollate_batch(list_data_collate([loaded]))
    assert back["image"].meta["filename_or_obj"] == pair["image"]
    assert [int(side) for side in back["image"].meta["original_size"]] == [40, 60]


@pytest.mark.real_data
def test_all_pairs_of_the_sample_data_load(shared_data: Path) -> None:
    images = sorted((shared_data / "skin_segmentation" / "original_aspect" / "images").iterdir())[:3]
    images += sorted((shared_data / "cells" / "wbc_120" / "images").iterdir())[:3]
    for image in images:
        levels = [128, 255] if "wbc" in str(image) else [255]
        (mask,) = (image.parent.parent / "masks").glob(f"{image.stem}*")
        loaded = LoadColorImaged(["image", "label"], levels=levels)({"image": image, "label": mask})
        assert loaded["image"].shape[1:] == loaded["label"].shape[1:]
        assert loaded["image"].meta["remarks"] == ""


def tagged(path: str, orientation: int) -> None:
    """Write the EXIF orientation into an image, whose pixels stay as they are."""
    image = Image.open(path)
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(path, exif=exif)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_mask_without_the_tag_of_its_image_is_named(orientation: int, pair: dict[str, str]) -> None:
    tagged(pair["image"], orientation)
    remarks = LoadColorImaged(["image", "label"])(pair)["label"].meta["remarks"]
    assert f"has the EXIF orientation 1, its image {orientation}" in remarks
    assert "write the EXIF orientation of the image into it" in remarks
    tagged(pair["label"], orientation)
    assert "its image" not in LoadColorImaged(["image", "label"])(pair)["label"].meta["remarks"]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_that_does_not_fit_because_of_the_tag_of_its_image_is_refused_for_it(
    orientation: int, pair: dict[str, str]
) -> None:
    tagged(pair["image"], orientation)
    words = f"has the EXIF orientation 1, its image {orientation}, .*; if the mask was drawn on the stored pixels"
    with pytest.raises(GridMismatchError, match=words):
        LoadColorImaged(["image", "label"], resize_mask=True)(pair)


@pytest.mark.parametrize(
    "options",
    [
        {"ignore_label": 128},
        {"levels": [128, 255], "ignore_label": 128},
        {"levels": [255], "classes": {"lesion": 1, "ignore": 128}},
    ],
)
@pytest.mark.parametrize("size", [(8, 6), (4, 3)])
def test_pixels_to_ignore(options: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[:, 2:4], mask[:, 4:] = 255, 128
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8))
    case = write(tmp_path, image, Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    label = LoadColorImaged(["image", "label"], resize_mask=True, **options)(case)["label"]
    assert label.shape == (1, 6, 8)
    assert label[0, 0].tolist() == [0, 0, 1, 1, -1, -1, -1, -1]


def test_the_last_class_may_be_that_of_the_pixels_to_ignore(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 100, 200]], np.uint8))
    case = write(tmp_path, Image.new("RGB", (3, 1)), mask)
    load = LoadColorImaged("label", levels=[100, 200], classes={"lesion": 1, "ignore": 2})
    assert load(case)["label"].flatten().tolist() == [0, 1, -1]
