"""Crops around single cells: one per object, with it in the center, in the fold of its image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.data import DatalistError, select_images
from bundle.data.cell_crops import crops_of, prepare_cell_crops
from bundle.io.input_checks import GridMismatchError


def disk(center: tuple[int, int], radius: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius**2


def gradient(shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.stack([rows, columns, np.full(shape, 9)], axis=-1).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    items = []
    for number, centers in enumerate((((20, 20), (40, 60)), ((30, 40),), ((2, 2), (30, 30)))):
        mask = np.any([disk(center, 8) for center in centers], axis=0)
        Image.fromarray(gradient()).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "masks" / f"{number}.png")
        items.append({"image": f"images/{number}.png", "label": f"masks/{number}.png"})
    (tmp_path / "dataset.json").write_text(
        json.dumps({"training": items[1:2], "validation": items[:1], "test": items[2:]})
    )
    return tmp_path


def test_a_crop_has_the_object_in_its_center_at_the_scale_of_its_box() -> None:
    mask = 255 * disk((30, 40), 10).astype(np.uint8)
    (crop,) = crops_of(gradient(), mask, scale=2.0, size=42)
    # The box of the disk has 21 pixels a side, so that the crop has 42, unresized, from row 9 and column 19.
    np.testing.assert_array_equal(crop.image[..., 0], np.broadcast_to(np.arange(9, 51)[:, None], (42, 42)))
    np.testing.assert_array_equal(crop.image[..., 1], np.broadcast_to(np.arange(19, 61), (42, 42)))
    np.testing.assert_array_equal(crop.mask, mask[9:51, 19:61])


def test_a_crop_beyond_the_image_is_black_there() -> None:
    (crop,) = crops_of(gradient() + 100, 255 * disk((0, 79), 9).astype(np.uint8), scale=3.0, size=30)
    assert (crop.image[:10] == 0).all()
    assert (crop.image[:, -10:] == 0).all()
    assert (crop.image[10:, :20] > 0).all()


def test_other_objects_are_background_in_the_mask_of_a_crop() -> None:
    mask = 255 * (disk((30, 30), 8) | disk((30, 50), 8)).astype(np.uint8)
    left, right = crops_of(gradient(), mask, scale=3.0, size=51)
    for crop in (left, right):
        places = np.argwhere(crop.mask)
        assert abs(places.mean(0) - 25).max() < 1
        assert len(places) == disk((30, 30), 8).sum()


def test_the_box_is_that_of_the_nucleus_in_masks_with_parts() -> None:
    mask = np.where(disk((30, 42), 4), 255, np.where(disk((30, 40), 12), 128, 0)).astype(np.uint8)
    (crop,) = crops_of(gradient(), mask, scale=2.5, size=23)
    assert crop.image[11, 11].tolist() == [30, 42, 9]
    assert set(np.unique(crop.mask)) == {0, 128, 255}


def test_rests_of_a_mask_have_no_crop() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:13, 10:15] = 255
    assert not list(crops_of(gradient(), mask, scale=2.0, size=8))


def test_crops_are_listed_with_the_folds_of_their_images(dataset: Path) -> None:
    content = prepare_cell_crops(dataset, size=32)
    listed = {item["image"]: item.get("fold") for item in content["training"] + content["test"]}
    assert listed == {
        "crops/images/0_1.png": 0,
        "crops/images/0_2.png": 0,
        "crops/images/1_1.png": 1,
        "crops/images/2_1.png": None,
        "crops/images/2_2.png": None,
    }
    path = dataset / "crops.json"
    path.write_text(json.dumps(content))
    assert [case["case"] for case in select_images(dataset, "validation", path, 0)] == ["0_1", "0_2"]
    with Image.open(dataset / "crops" / "images" / "2_1.png") as image:
        assert image.size == (32, 32)
        assert image.mode == "RGB"


def test_images_of_16_bits_become_crops_of_8(dataset: Path) -> None:
    Image.fromarray(np.full((60, 80), 512, np.uint16)).save(dataset / "images" / "1.png")
    prepare_cell_crops(dataset, crops_dir=dataset / "cells", scale=1.0, size=16)
    with Image.open(dataset / "cells" / "images" / "1_1.png") as image:
        assert np.asarray(image)[8, 8].tolist() == [2, 2, 2]


@pytest.mark.parametrize(("options", "number"), [({"scale": 0.9}, "0.9"), ({"size": 0}, "0")])
def test_numbers_out_of_range_are_refused(options: dict[str, float], number: str, dataset: Path) -> None:
    with pytest.raises(DatalistError, match=f"scale must be 1 or more and size be positive.*{number}"):
        prepare_cell_crops(dataset, **options)  # type: ignore[arg-type]


def test_a_mask_of_another_size_and_masks_without_objects_are_refused(dataset: Path) -> None:
    Image.new("L", (80, 50)).save(dataset / "masks" / "2.png")
    with pytest.raises(GridMismatchError, match=r"2\.png.*\(50, 80\)"):
        prepare_cell_crops(dataset)
    for number in range(3):
        Image.new("L", (80, 60)).save(dataset / "masks" / f"{number}.png")
    with pytest.raises(DatalistError, match="no mask has an object of 16 pixels"):
        prepare_cell_crops(dataset)
