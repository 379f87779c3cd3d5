"""Mirroring that exchanges left and right."""

from __future__ import annotations

import torch

from bundle.transforms import RandFlipSidesd

LABEL = torch.tensor([[[1, 0, 5], [0, 0, 2]]])


def test_images_are_mirrored_and_sides_exchanged() -> None:
    flip = RandFlipSidesd(["image", "label"], pairs={"label": [[1, 2]]}, prob=1.0)
    found = flip({"image": LABEL, "label": LABEL, "case": "a"})
    assert found["image"].tolist() == [[[0, 0, 2], [1, 0, 5]]]
    assert found["label"].tolist() == [[[0, 0, 1], [2, 0, 5]]]
    assert found["case"] == "a"


def test_twice_is_the_map_itself() -> None:
    flip = RandFlipSidesd("label", pairs={"label": [[1, 2]]}, prob=1.0, spatial_axis=1)
    assert torch.equal(flip(flip({"label": LABEL}))["label"], LABEL)


def test_without_luck_nothing_changes() -> None:
    assert RandFlipSidesd("label", pairs={}, prob=0.0)({"label": LABEL})["label"] is LABEL
