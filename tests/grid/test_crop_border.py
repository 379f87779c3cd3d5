"""A constant border is cropped before the network, and is background in results."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, orientation_affine
from monai.data import MetaTensor, list_data_collate
from monai.transforms import Compose, Orientationd

from bundle.grid import CropConstantBorderd, LabelMapAssembler, ResampleSpacingd
from bundle.grid.crop_border import content_of, restore_border

SIZE = (9, 11, 8)
PADS = ((3, 0), (2, 5), (1, 4))


def file_image(values: np.ndarray, affine: np.ndarray) -> MetaTensor:
    """Return an image as a loader makes it."""
    return meta_tensor(values[None], affine, spatial_shape=np.array(values.shape))


def padded_file(values: np.ndarray, affine: np.ndarray, value: float) -> MetaTensor:
    """Return the same image with padding, at the same place in the world."""
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3] @ [before for before, _ in PADS]
    return file_image(np.pad(values, PADS, constant_values=value), moved)


def labels_of(image: MetaTensor, transform: Compose, **options: Any) -> torch.Tensor:
    """Return what a network that sees voxels one by one makes of a file."""
    found = list_data_collate([transform({"image": image})])["image"]
    scores = torch.cat([torch.zeros_like(found), found.as_tensor() - 0.5, 0.3 - found.as_tensor()], 1)[0].as_tensor()
    writer = LabelMapAssembler(**options).start(found, classes=3, axis=0)
    writer.add(scores)
    return writer.finish()[0]


def preprocessing(code: str = "RAS", pixdim: Sequence[float] = (1.0, 1.3, 0.7)) -> Compose:
    steps = [Orientationd("image", axcodes=code, labels=None), CropConstantBorderd("image")]
    return Compose([*steps, ResampleSpacingd("image", pixdim=pixdim)])


@pytest.mark.parametrize("value", [0.0, -1024.0, 0.4])
@pytest.mark.parametrize("code", ["RAS", "PIL", "SLA"])
def test_labels_of_a_padded_file_are_those_of_the_file_and_background_around_it(code: str, value: float) -> None:
    values, affine = noise(SIZE), orientation_affine(code)
    wanted = labels_of(file_image(values, affine), preprocessing())
    found = labels_of(padded_file(values, affine, value), preprocessing())
    assert wanted.unique().tolist() == [0, 1, 2]
    assert torch.equal(found, torch.nn.functional.pad(wanted, [n for pad in PADS[::-1] for n in pad]))


def test_confidence_maps_in_the_border_are_those_outside_of_a_crop() -> None:
    image = padded_file(noise(SIZE), np.eye(4), 0.0)
    found = labels_of(image, preprocessing(), confidence=["probability", "entropy"])
    assert found[:, 0, 0, 0].tolist() == [0, 0, 255]


def test_maps_on_the_grid_of_the_image_are_cropped_alike_and_restored() -> None:
    image = padded_file(noise(SIZE), np.eye(4), 0.0)
    label = MetaTensor(torch.ones(1, *image.shape[1:]), meta=image.meta)
    crop = CropConstantBorderd(["image", "label", "missing"], allow_missing_keys=True)
    data = crop({"image": image, "label": label})
    assert data["image"].shape == data["label"].shape == (1, *SIZE)
    assert torch.equal(data["image"].affine, torch.eye(4, dtype=torch.float64))
    restored = crop.inverse(data)
    assert torch.equal(restored["image"].as_tensor(), image.as_tensor())
    assert restored["label"].sum() == np.prod(SIZE)


def test_what_was_cropped_is_a_remark() -> None:
    plain, framed = torch.rand(1, 4, 4), torch.zeros(1, 8, 8)
    framed[:, 2:6, 2:6] = plain
    crop = CropConstantBorderd("image")
    found = crop({"image": MetaTensor(framed)})["image"]
    assert found.meta["remarks"] == "a constant border, 75.0% of the image, was cropped"
    kept = crop({"image": MetaTensor(plain)})["image"]
    assert "remarks" not in kept.meta
    assert torch.equal(kept.as_tensor(), plain)


def test_nothing_is_cropped_where_it_is_turned_off() -> None:
    image = padded_file(noise(SIZE), np.eye(4), 0.0)
    crop = CropConstantBorderd("image", enabled="false")
    data = crop({"image": image})
    assert data["image"] is crop.inverse(data)["image"] is image
    assert content_of(data["image"]) is None


def test_an_image_that_was_resampled_before_is_refused() -> None:
    image = padded_file(noise(SIZE), np.eye(4), 0.0)
    resampled = ResampleSpacingd("image", pixdim=(1.0, 1.3, 0.7))({"image": image})
    with pytest.raises(ValueError, match="before resampling, on the grid of the file"):
        CropConstantBorderd("image")(resampled)


@pytest.mark.parametrize("classes", [1, 3])
def test_scores_in_a_restored_border_are_those_of_the_background(classes: int) -> None:
    pads, batch = [(1, 2, 3, 4), (4, 3, 2, 1)], []
    for pad in pads:
        framed = torch.nn.functional.pad(torch.rand(3, 6, 7), pad)
        batch.append(CropConstantBorderd("image")({"image": MetaTensor(framed)}))
    images = list_data_collate(batch)["image"]
    for index, pad in enumerate(pads):
        scores = torch.rand(classes, 6, 7)
        restored = restore_border(scores, images, index)
        left, _, top, _ = pad
        inside = torch.zeros(restored.shape[1:], dtype=torch.bool)
        inside[top : top + 6, left : left + 7] = True
        assert torch.equal(restored[:, inside].reshape(scores.shape), scores)
        outside = restored[:, ~inside]
        assert (outside.sigmoid() == 0).all() if classes == 1 else (outside.softmax(0)[0] == 1).all()


def test_scores_of_images_that_were_not_cropped_stay() -> None:
    scores, kept = torch.rand(1, 6, 7), CropConstantBorderd("image")({"image": MetaTensor(torch.rand(3, 6, 7))})
    for image in (torch.rand(1, 3, 6, 7), list_data_collate([kept])["image"]):
        assert restore_border(scores, image) is scores


def test_a_border_within_a_border_is_cropped() -> None:
    for first, second in itertools.permutations((0.0, 3.0), 2):
        framed = torch.nn.functional.pad(torch.as_tensor(noise((1, *SIZE))), [2] * 6, value=first)
        framed = torch.nn.functional.pad(framed, (1, 4) * 3, value=second)
        assert CropConstantBorderd("image")({"image": MetaTensor(framed)})["image"].shape == (1, *SIZE)
