"""ResizeImaged makes images smaller as Pillow does, and keeps masks masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from bundle.tasks.images import ResizeImaged

PIXELS = np.random.default_rng(0).random((3, 90, 120)).astype(np.float32)


@pytest.mark.parametrize("size", [(32, 40), (90, 60), (180, 240)])
def test_images_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    result = ResizeImaged("image", spatial_size=size)({"image": MetaTensor(PIXELS, meta={"original_size": [90, 120]})})
    for channel, pixels in zip(result["image"].as_tensor(), PIXELS, strict=True):
        expected = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(channel.numpy(), np.asarray(expected), atol=1e-4)
    assert result["image"].meta["original_size"] == [90, 120]


def test_masks_take_the_nearest_class() -> None:
    mask = torch.zeros(1, 90, 120)
    mask[:, 30:60, 30:90] = 2
    result = ResizeImaged(["image", "label"], spatial_size=[45, 60])({"image": torch.as_tensor(PIXELS), "label": mask})
    expected = torch.zeros(1, 45, 60)
    expected[:, 15:30, 15:45] = 2
    assert torch.equal(result["label"], expected)
    assert result["image"].shape == (3, 45, 60)


def test_what_has_the_size_stays_as_it_is() -> None:
    image = torch.as_tensor(PIXELS)
    resize = ResizeImaged(["image", "label"], spatial_size=(90, 120), allow_missing_keys=True)
    assert resize({"image": image})["image"] is image


def test_other_sizes_are_refused() -> None:
    for size in ([256], [256, 0], [1, 2, 3]):
        with pytest.raises(ValueError, match="two positive numbers"):
            ResizeImaged("image", spatial_size=size)
