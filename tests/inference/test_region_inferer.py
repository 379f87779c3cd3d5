"""Regions are found on a coarse grid and segmented on a fine one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor
from monai.data import MetaTensor
from monai.transforms import Compose, Orientationd

from bundle.grid import LabelMapAssembler, ResampleSpacingd
from bundle.inference import NothingFoundError, Region, RegionFinder, RegionInferer, SlabInferer

AFFINE = np.diag([-0.5, 0.5, 2.0, 1.0])
OFFSETS = {"left": 10, "right": 20}


def coarse(x: torch.Tensor) -> torch.Tensor:
    """Find class 1 around 10 and class 2 around -10."""
    return torch.cat([5 - (x - value).abs() for value in (0, 10, -10)], dim=1)


def fine(x: torch.Tensor) -> torch.Tensor:
    """Label values that are more than 5 from 0 as 1."""
    return torch.cat([5 - x.abs(), x.abs() - 5], dim=1)


def head(left: bool = True, right: bool = True) -> MetaTensor:
    """Return an image of 40 x 40 x 48 mm with two blocks of 8 x 8 x 8 mm, in the orientation RAS of a file in LAS."""
    values = torch.zeros(1, 80, 80, 24)
    if left:
        values[:, 16:32, 32:48, 10:14] = 10
    if right:
        values[:, 48:64, 32:48, 10:14] = -10
    file = meta_tensor(values, affine=AFFINE, spatial_shape=values.shape[1:])
    image: MetaTensor = Orientationd("image", axcodes="RAS", labels=None)({"image": file})["image"]
    return image[None]


def inferer(**options: Any) -> RegionInferer:
    resample = ResampleSpacingd("image", pixdim=[1.0, 1.0, 1.0])
    finder = RegionFinder(
        coarse,
        regions={"left": 1, "right": 2},
        preprocessing=ResampleSpacingd("image", pixdim=[4.0, 4.0, 4.0], antialias=True),
        divisor=1,
    )
    settings = {"size_mm": [16, 16, 16], "offsets": OFFSETS, "crop_limit_mm": [30, 30, 30], **options}
    window = SlabInferer([16, 16, 16], assembler=LabelMapAssembler())
    return RegionInferer(window, finder=finder, preprocessing=resample, **settings)


def test_one_label_map_on_the_grid_of_the_file() -> None:
    infer, steps = inferer(), []
    infer.on_window = lambda *step: steps.append(step)
    found = infer(head(), fine)
    expected = torch.zeros(1, 1, 80, 80, 24)
    expected[..., 16:32, 32:48, 10:14], expected[..., 48:64, 32:48, 10:14] = 11, 21
    assert found.shape == expected.shape
    for value in (11, 21):
        mask, reference = found == value, expected == value
        assert 2 * (mask & reference).sum() > 0.85 * (mask.sum() + reference.sum())
    assert set(found.unique().tolist()) == {0, 11, 21}
    assert np.allclose(found.affine, AFFINE)
    assert [region.name for region in infer.regions] == ["left", "right"]
    assert steps == [(1, 2), (2, 2)]


def test_the_fine_network_sees_crops_alone() -> None:
    shapes = []

    def watched(x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape[2:]))
        return fine(x)

    inferer()(head(), watched)
    assert len(shapes) <= 16
    assert set(shapes) == {(16, 16, 16)}


def test_a_missing_region_is_reported_and_the_other_is_segmented() -> None:
    infer = inferer()
    found = infer(head(right=False), fine)
    assert set(found.unique().tolist()) == {0, 11}
    assert infer.regions[1] == Region("right")


@pytest.mark.parametrize("name", ["knee.nii.gz", ["knee.nii.gz"]])
def test_an_image_without_a_region_is_an_error(name: Any) -> None:
    image = head(left=False, right=False)
    image.meta["filename_or_obj"] = name
    with pytest.raises(NothingFoundError, match=r"^knee\.nii\.gz.* neither left nor right was found"):
        inferer()(image, fine)


def test_a_small_image_is_the_crop_of_one_region() -> None:
    infer = inferer(crop_limit_mm=[40, 40, 48])
    found = infer(head(), fine)
    assert set(found.unique().tolist()) == {0, 1}
    assert infer.regions == []


def test_the_description_is_that_of_the_wrapped_inferer() -> None:
    infer = inferer()
    assert infer.description is None
    infer.inferer.description = "fp32"
    assert infer.description == "fp32"


def test_the_preprocessing_of_a_region_may_be_several_transforms() -> None:
    infer = inferer()
    infer.preprocessing = Compose([infer.preprocessing])
    assert set(infer(head(), fine).unique().tolist()) == {0, 11, 21}


def test_every_region_needs_an_offset() -> None:
    with pytest.raises(ValueError, match="offsets must have a number for every region, but lack right"):
        inferer(offsets={"left": 10})
