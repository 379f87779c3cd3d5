"""What a training keeps of an image is small, and without reduction the same bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.image_cases import write_lesions
from monai.bundle.config_parser import ConfigParser
from monai.data import CacheDataset
from monai.transforms import Compose
from PIL import Image

from bundle import ROOT
from bundle.data import select_images
from bundle.io import LoadColorImaged
from bundle.tasks.images import PackImaged, UnpackImaged

KEYS = ["image", "label"]
LOAD = LoadColorImaged(KEYS)


def write_pair(folder: Path, pixels: np.ndarray) -> dict[str, Any]:
    """Write an image and a mask of its left half."""
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    Image.fromarray(pixels).save(folder / "image.png")
    Image.fromarray(mask).save(folder / "label.png")
    return {key: folder / f"{key}.png" for key in KEYS}


def test_without_reduction_all_values_are_restored(tmp_path: Path) -> None:
    levels = np.arange(768, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    loaded = LOAD(write_pair(tmp_path, levels))
    packed = PackImaged(KEYS, roi_size=(16, 16))(loaded)
    restored = UnpackImaged(KEYS)(packed)
    for key in KEYS:
        assert packed[key].dtype == torch.uint8
        assert restored[key].dtype == torch.float32
        assert torch.equal(restored[key].as_tensor(), loaded[key].as_tensor())
        assert restored[key].meta["original_size"] == [16, 16]


def test_a_large_image_is_reduced_to_what_the_smallest_crop_needs(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], (200, 300, 3))
    packed = PackImaged(KEYS, roi_size=(32, 32), crop_scale=[0.5, 0.7])(LOAD(write_pair(tmp_path, ramp.copy())))
    assert packed["image"].shape == (3, 64, 46)
    assert packed["image"].dtype == packed["label"].dtype == torch.uint8
    restored = UnpackImaged(KEYS)(packed)
    assert torch.equal(restored["label"].unique().as_tensor(), torch.tensor([0.0, 1.0]))
    assert abs(float(restored["label"].mean()) - 0.5) < 0.02
    assert abs(float(restored["image"].mean()) - 0.5) < 0.01


def test_sixteen_bits_stay_as_they_are(tmp_path: Path) -> None:
    """A camera of 12 bits uses a 16th of the range: 8 bits would leave 16 levels."""
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(pixels).save(tmp_path / "gray.png")
    loaded = LoadColorImaged("image")({"image": tmp_path / "gray.png"})
    packed = PackImaged("image", roi_size=(32, 64))(loaded)
    assert packed["image"].shape == (3, 32, 64)
    restored = UnpackImaged("image")(packed)["image"]
    assert restored.dtype == torch.float32
    assert len(restored[0].unique()) > 1000


def test_missing_keys_are_skipped_where_allowed() -> None:
    image = torch.ones(3, 8, 8)
    packed = PackImaged(KEYS, allow_missing_keys=True)({"image": image})
    assert torch.equal(UnpackImaged(KEYS, allow_missing_keys=True)(packed)["image"], image)


def test_a_cache_keeps_what_is_packed(tmp_path: Path) -> None:
    data = select_images(write_lesions(tmp_path, 2), split="all")
    dataset = CacheDataset(data, Compose([LOAD, PackImaged(KEYS), UnpackImaged(KEYS)]), progress=False)
    assert {item[key].dtype for item in dataset._cache for key in KEYS} == {torch.uint8}
    assert {item[key].dtype for item in dataset for key in KEYS} == {torch.float32}


@pytest.mark.parametrize("scale", [0, 1.5, [0.5, -1.0]])
def test_other_shares_are_refused(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"crop_scale must lie in \(0, 1\]"):
        PackImaged("image", roi_size=(8, 8), crop_scale=scale)


@pytest.mark.parametrize("part", ["train#deterministic_transforms", "validate#preprocessing"])
def test_a_classification_keeps_images_of_any_size_at_that_of_its_config(part: str, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 900, 3), dtype=np.uint8)).save(tmp_path / "a.jpg")
    parser = ConfigParser()
    parser.read_config(f"{ROOT}/configs/lesion_classification/train.json")
    transforms = parser.get_parsed_content(part)
    kept = Compose(getattr(transforms, "transforms", transforms))({"image": str(tmp_path / "a.jpg")})["image"]
    assert kept.numel() * kept.element_size() == 3 * 256 * 256 * 4
    assert kept.as_tensor().untyped_storage().nbytes() == 3 * 256 * 256 * 4
