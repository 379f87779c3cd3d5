"""AugmentImaged deforms images and masks by one field and knows all kinds of augmentation by name."""

from __future__ import annotations

import pytest
import torch

from bundle.tasks.images import AugmentImaged
from bundle.tasks.images.image_augment import KINDS, complete_kinds

SIZE = 96
ROWS, COLUMNS = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
MASK = ((ROWS - 40) ** 2 + (COLUMNS - 52) ** 2 < 25**2).float()[None]
IMAGE = MASK.repeat(3, 1, 1) * 0.8 + 0.1
KEPT = ("color", "blur")
"""Kinds that leave every pixel where it is."""


def augment(kind: str, seed: int = 3, **options: float) -> dict[str, torch.Tensor]:
    transform = AugmentImaged(["image", "label"], kinds={kind: {"prob": 1.0, **options}}).set_random_state(seed)
    return transform({"image": IMAGE.clone(), "label": MASK.clone()})


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_follows_the_image(kind: str) -> None:
    """The lesion is the bright part: found again by a threshold, it is where the mask is, but for the border."""
    result = augment(kind)
    found = (result["image"].mean(0) > 0.5).float()
    assert float((found != result["label"][0]).float().mean()) < 0.004
    assert set(torch.unique(result["label"]).tolist()) == {0, 1}
    assert bool((result["label"] != MASK).any()) == (kind not in KEPT)
    assert not torch.equal(torch.as_tensor(result["image"]), IMAGE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind: str) -> None:
    first, again = (torch.as_tensor(augment(kind)["image"]) for _ in range(2))
    assert torch.equal(first, again)


def test_flips_are_those_of_the_axes_that_they_name() -> None:
    assert torch.equal(torch.as_tensor(augment("hflip")["label"]), MASK.flip(2))
    assert torch.equal(torch.as_tensor(augment("vflip")["label"]), MASK.flip(1))


def test_shrinking_takes_the_area_by_the_square_of_the_factor() -> None:
    areas = [float(augment("shrink", seed, smallest=0.8)["label"].sum() / MASK.sum()) for seed in range(12)]
    assert 0.62 < min(areas) < 0.72
    assert 0.9 < max(areas) <= 1


def test_turns_keep_the_area_and_shear_moves_lines() -> None:
    assert float(augment("rotation", degrees=30)["label"].sum() / MASK.sum()) == pytest.approx(1, abs=0.02)
    sheared = augment("shear", largest=0.3)["label"][0]
    middles = [float(COLUMNS[row][sheared[row] > 0].mean()) for row in (30, 40, 50)]
    assert middles[2] - middles[1] == pytest.approx(middles[1] - middles[0], abs=1.5)
    assert abs(middles[2] - middles[0]) > 1


def test_kinds_that_are_not_named_are_not_done() -> None:
    data = {"image": IMAGE, "label": MASK}
    result = AugmentImaged(["image", "label"], kinds={})(data)
    assert result["image"] is IMAGE
    assert len(AugmentImaged(["image", "label"]).transforms) == len(KINDS)


def test_images_without_masks_and_masks_without_images() -> None:
    kinds = {kind: {"prob": 1.0} for kind in KINDS}
    assert AugmentImaged("image", kinds=kinds).set_random_state(0)({"image": IMAGE})["image"].shape == (
        3,
        SIZE,
        SIZE,
    )
    label = AugmentImaged("label", kinds=kinds).set_random_state(0)({"label": MASK})["label"]
    assert set(torch.unique(label).tolist()) <= {0, 1}
    both = AugmentImaged(["image", "label"], kinds=kinds, allow_missing_keys=True).set_random_state(0)
    assert set(both({"image": IMAGE})) == {"image"}


def test_missing_options_have_their_defaults_and_unknown_names_are_refused() -> None:
    assert complete_kinds({"blur": {"prob": 0.9}}) == {"blur": {"prob": 0.9, "sigma": 1.5}}
    with pytest.raises(ValueError, match=r"unknown kind of augmentation 'flip'; the kinds are hflip"):
        AugmentImaged("image", kinds={"flip": {}})
    with pytest.raises(ValueError, match=r"elastic has no option 'alpha'; its options are prob, spacing, pixels"):
        AugmentImaged("image", kinds={"elastic": {"alpha": 1300}})
