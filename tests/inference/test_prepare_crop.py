"""An image is prepared for the network, unless regions are to be found in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise
from monai.data import MetaTensor
from monai.transforms import Compose

from bundle.grid import ResampleSpacingd
from bundle.inference import PrepareCropd, RegionFinder
from bundle.inference.prepare_crop import SEARCHED
from bundle.transforms import StandardizeIntensityd


def preprocessing() -> Compose:
    return Compose([ResampleSpacingd("image", pixdim=[2.0, 2.0, 2.0]), StandardizeIntensityd("image")])


def finder(**options: Any) -> RegionFinder:
    """Return a finder for which images of more than 10 mm are no crops."""
    settings = {"size_mm": [4, 4, 4], "largest_crop_mm": [10, 10, 10], "enabled": True, **options}
    return RegionFinder(lambda x: x, regions={"left": 1}, preprocessing=lambda data: data, **settings)


def image(size: int) -> MetaTensor:
    return meta_tensor(noise((1, size, 8, 8)), spatial_shape=[size, 8, 8])


@pytest.mark.parametrize(
    ("size", "searching"), [(10, finder()), (12, None), (12, finder(enabled=False)), (12, finder(enabled="auto"))]
)
def test_a_crop_is_prepared_as_without_a_finder(size: int, searching: RegionFinder | None) -> None:
    expected = preprocessing()({"image": image(size)})["image"]
    found = PrepareCropd(preprocessing(), finder=searching)({"image": image(size), "case": "a"})
    assert torch.equal(found["image"].as_tensor(), expected.as_tensor())
    assert found["case"] == "a"
    assert SEARCHED not in found["image"].meta


def test_a_larger_image_keeps_its_voxels_and_is_marked() -> None:
    found = PrepareCropd(preprocessing(), finder=finder())({"image": image(12)})["image"]
    assert torch.equal(found.as_tensor(), image(12).as_tensor())
    assert found.meta[SEARCHED] is True


def test_the_preparation_of_a_crop_can_be_undone() -> None:
    prepare = Compose([PrepareCropd(Compose([ResampleSpacingd("image", pixdim=[2.0, 2.0, 2.0])]), finder=finder())])
    prepared = prepare({"image": image(10)})
    assert prepared["image"].shape == (1, 5, 5, 5)
    restored = prepare.inverse(prepared)["image"]
    assert restored.shape == (1, 10, 8, 8)
    np.testing.assert_allclose(restored.affine, np.eye(4))
