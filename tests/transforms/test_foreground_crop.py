"""A share of the crops holds structures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandSpatialCropd

from bundle.transforms import FindForegroundd, RandForegroundCropd

KEYS = ["image", "label"]
SIZE = (6, 5, 4)


def case(shape: tuple[int, ...] = (40, 30, 20)) -> dict[str, Any]:
    """A large structure and one of a single voxel in a corner."""
    label = torch.zeros(1, *shape)
    label[0, 10:20, 10:20, 5:15] = 1
    label[0, -1, -1, -1] = 2
    return {"image": torch.arange(label.numel()).reshape(label.shape).float(), "label": label}


def crops(share: float, data: dict[str, Any], count: int = 200) -> list[torch.Tensor]:
    transform = Compose([FindForegroundd(share=share), RandForegroundCropd(KEYS, SIZE, share=share)])
    transform.set_random_state(0)
    return [transform(data)["label"] for _ in range(count)]


def test_a_share_of_0_draws_what_monai_draws() -> None:
    mine, theirs = RandForegroundCropd(KEYS, SIZE), RandSpatialCropd(KEYS, SIZE, random_size=False)
    for transform in (mine, theirs):
        transform.set_random_state(3)
    for _ in range(5):
        assert torch.equal(mine(case())["image"].as_tensor(), theirs(case())["image"].as_tensor())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_crops_with_a_structure_is_as_wanted(share: float) -> None:
    found = crops(share, case())
    assert all(label.shape[1:] == SIZE for label in found)
    by_chance = np.mean([bool(label.any()) for label in crops(0.0, case())])
    held = np.mean([bool(label.any()) for label in found])
    assert held == pytest.approx(share + (1 - share) * by_chance, abs=0.1)


def test_small_structures_are_drawn_as_often_as_large_ones() -> None:
    rare = np.mean([bool((label == 2).any()) for label in crops(1.0, case())])
    assert rare == pytest.approx(0.5, abs=0.1)


def test_image_and_label_stay_together_and_the_places_are_removed() -> None:
    transform = Compose([FindForegroundd(), RandForegroundCropd(KEYS, SIZE, share=1.0)])
    data = case()
    data["image"] = data["label"] * 10
    found = transform(data)
    assert set(found) == {"image", "label"}
    assert torch.equal(found["image"].as_tensor(), found["label"].as_tensor() * 10)


def test_a_case_without_structures_is_cropped_uniformly() -> None:
    empty = {key: torch.zeros(1, 8, 8, 8) for key in KEYS}
    assert crops(1.0, empty, 3)[0].shape[1:] == SIZE


def test_an_image_smaller_than_the_crop_is_kept() -> None:
    data = {key: torch.ones(1, 3, 5, 9) for key in KEYS}
    assert {tuple(label.shape[1:]) for label in crops(1.0, data, 5)} == {(3, 5, 4)}


def test_the_number_of_places_is_limited() -> None:
    places = FindForegroundd(count=10)(case())["foreground"]
    assert [len(found) for found in places] == [10, 1]
    assert places[1].tolist() == [[39, 29, 19]]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="foreground_share must be from 0 to 1"):
        RandForegroundCropd(KEYS, SIZE, share=share)
