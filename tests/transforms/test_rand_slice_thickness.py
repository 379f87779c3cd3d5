"""Thick slices."""

from __future__ import annotations

import pytest
import torch
from helpers.phantoms import meta_tensor

from bundle.transforms import RandSliceThicknessd


def test_one_axis_becomes_smoother_and_the_mean_stays() -> None:
    image = torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    thick = RandSliceThicknessd("image", prob=1.0, max_thickness=6.0).set_random_state(seed=1)
    smoother = set()
    for _ in range(12):
        found = thick({"image": image})["image"]
        steps = [float(found.diff(dim=axis).abs().mean() / image.diff(dim=axis).abs().mean()) for axis in (1, 2, 3)]
        smoother.add(steps.index(min(steps)))
        assert abs(float(found.mean() - image.mean())) < 0.02
    assert smoother == {0, 1, 2}


def test_images_of_one_case_are_changed_alike_and_keep_their_type() -> None:
    image = meta_tensor(torch.rand(1, 9, 9, 9))
    thick = RandSliceThicknessd(["image", "other"], prob=1.0).set_random_state(seed=2)
    found = thick({"image": image, "other": image.clone()})
    assert torch.equal(found["image"], found["other"])
    assert torch.equal(found["image"].affine, image.affine)


def test_without_luck_nothing_changes() -> None:
    image = torch.rand(1, 4, 4, 4)
    assert RandSliceThicknessd("image", prob=0.0)({"image": image})["image"] is image


def test_slices_are_not_thinner_than_voxels() -> None:
    with pytest.raises(ValueError, match=r"max_thickness must be 1 voxel or more, got 0\.5"):
        RandSliceThicknessd("image", max_thickness=0.5)
