"""Random contrasts of tissues."""

from __future__ import annotations

import pytest
import torch
from helpers.phantoms import meta_tensor

from bundle.transforms import RandContrastMapd


def test_the_order_of_tissues_changes_and_mean_and_spread_stay() -> None:
    image = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    contrast = RandContrastMapd("image", prob=1.0).set_random_state(seed=1)
    order = image.flatten().argsort()
    falls = 0
    for _ in range(10):
        found = contrast({"image": image})["image"]
        falls += bool((found.flatten()[order].diff() < 0).any())
        assert abs(float(found.mean() - image.mean())) < 1e-3
        assert abs(float(found.std() - image.std())) < 1e-3
    assert falls > 5


def test_images_of_one_case_are_mapped_alike_and_keep_their_type() -> None:
    image = meta_tensor(torch.rand(1, 9, 9, 9))
    contrast = RandContrastMapd(["image", "other"], prob=1.0).set_random_state(seed=2)
    found = contrast({"image": image, "other": image.clone()})
    assert torch.equal(found["image"], found["other"])
    assert torch.equal(found["image"].affine, image.affine)


def test_an_image_of_one_value_stays() -> None:
    image = torch.full((1, 4, 4, 4), 3.0)
    assert torch.equal(RandContrastMapd("image", prob=1.0)({"image": image})["image"], image)


def test_without_luck_nothing_changes() -> None:
    image = torch.rand(1, 4, 4, 4)
    assert RandContrastMapd("image", prob=0.0)({"image": image})["image"] is image


def test_a_function_needs_two_points() -> None:
    with pytest.raises(ValueError, match=r"num_control_points must be two increasing numbers from 2, got \(1, 3\)"):
        RandContrastMapd("image", num_control_points=(1, 3))
