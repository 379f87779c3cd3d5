"""The preview shows the augmented images of a training with their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, Dataset
from monai.transforms import Compose
from PIL import Image

from bundle.tasks.images import AugmentImaged, save_preview

MASK = torch.zeros(1, 40, 60)
MASK[:, 5:20, 10:30] = 1
CASE = {"image": 0.7 - 0.5 * MASK.repeat(3, 1, 1), "label": MASK}


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_one_row_per_image_and_variants_that_differ(tmp_path: Path) -> None:
    flips = Compose([AugmentImaged(["image", "label"], kinds={"hflip": {}, "vflip": {}})])
    dataset = CacheDataset([CASE] * 3, flips, progress=False)
    path = save_preview(dataset, tmp_path / "out/preview.png", images=2, variants=6, side=60)
    sheet = read(path)
    assert sheet.shape == (2 * 40 + 4, 6 * 120 + 5 * 4, 3)
    cells = [sheet[:40, 124 * i : 124 * i + 120] for i in range(6)]
    assert len({cell.tobytes() for cell in cells}) > 1
    for cell in cells:
        np.testing.assert_array_equal(cell[:, :60].min(axis=2) < 128, cell[:, 60:, 0] == 255)
    again = save_preview(dataset, tmp_path / "again.png", images=2, variants=6, side=60)
    np.testing.assert_array_equal(read(again), sheet)


def cell_of(item: dict[str, Any], tmp_path: Path) -> np.ndarray:
    return read(save_preview(Dataset([item]), tmp_path / "preview.png", variants=1, side=60))


def test_a_classified_image_has_no_mask(tmp_path: Path) -> None:
    assert cell_of({"image": CASE["image"], "label": torch.ones(2)}, tmp_path).shape == (40, 60, 3)
    assert cell_of({"image": CASE["image"]}, tmp_path).shape == (40, 60, 3)


def test_values_beyond_0_to_1_are_rescaled_and_other_channels_ignored(tmp_path: Path) -> None:
    image = torch.cat([4 * MASK.repeat(3, 1, 1) - 2, 100 + MASK])
    found = cell_of({"image": image}, tmp_path)
    np.testing.assert_array_equal(found[..., 1], 255 * MASK[0].numpy())
    np.testing.assert_array_equal(cell_of({"image": 9 * MASK}, tmp_path), found)


def test_several_classes_are_shades_of_the_mask(tmp_path: Path) -> None:
    label = MASK.clone()
    label[:, 30:, 40:] = 2
    found = cell_of({"image": CASE["image"], "label": label}, tmp_path)
    assert np.unique(found[:, 60:]).tolist() == [0, 128, 255]
    empty = cell_of({"image": CASE["image"], "label": 0 * label}, tmp_path)
    assert np.unique(empty[:, 60:]).tolist() == [0]


def test_invalid_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 1 or more, got 6, 0 and 160"):
        save_preview(Dataset([CASE]), tmp_path / "a.png", variants=0)
    with pytest.raises(ValueError, match="dataset of the preview is empty"):
        save_preview(Dataset([]), tmp_path / "a.png")
