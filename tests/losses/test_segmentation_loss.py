"""Losses by name: what each is the sum of, by MONAI, PyTorch and the definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss, FocalLoss
from torch.nn import functional

from bundle.losses import SegmentationLoss, region_masks

REGIONS = {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
WEIGHTS = [0.2, 1.0, 3.0, 0.5]


def example(channels: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits of two samples and a label map with the classes 0 to 3."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, channels, 5, 6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(0, 4, (2, 1, 5, 6, 4), generator=generator)


def dice_by_definition(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Sums over batch and space, the mean over all classes, smoothed by 1e-5, as the original writes it."""
    axes = (0, 2, 3, 4)
    overlap = 2 * (probability * target).sum(axes) + 1e-5
    return (1 - overlap / (probability.sum(axes) + target.sum(axes) + 1e-5)).mean()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dice", DiceLoss(to_onehot_y=True, softmax=True, batch=True)),
        ("dice_ce", DiceCELoss(to_onehot_y=True, softmax=True, batch=True)),
        ("focal", FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2)),
        ("ce", lambda logits, label: functional.cross_entropy(logits, label[:, 0])),
    ],
)
def test_losses_of_classes_are_those_of_monai(name: str, expected: Any) -> None:
    logits, label = example()
    loss = SegmentationLoss(name)(logits, label)
    torch.testing.assert_close(loss, expected(logits, label).to(loss.dtype), rtol=1e-6, atol=1e-7)


def test_dice_and_focal_terms_see_the_same_probabilities() -> None:
    logits, label = example()
    expected = SegmentationLoss("dice")(logits, label) + SegmentationLoss("focal")(logits, label)
    torch.testing.assert_close(SegmentationLoss("dice_focal")(logits, label), expected)


def test_the_focal_loss_of_the_original_is_the_number_of_classes_times_as_large() -> None:
    logits, label = example()
    hit = logits.softmax(1).gather(1, label)
    original = (-((1 - hit) ** 2) * hit.log()).mean()
    torch.testing.assert_close(4 * SegmentationLoss("focal")(logits, label).double(), original, rtol=1e-5, atol=0)


def test_dice_is_that_of_the_original() -> None:
    logits, label = example()
    target = functional.one_hot(label[:, 0], 4).movedim(-1, 1)
    expected = dice_by_definition(logits.softmax(1), target)
    torch.testing.assert_close(SegmentationLoss("dice")(logits, label), expected)


def test_weights_weigh_the_cross_entropy_and_not_the_dice() -> None:
    """Fixed class weights: PyTorch's weighted cross-entropy plus the plain Dice, which MONAI's DiceCELoss is not."""
    logits, label = example()
    weighted = functional.cross_entropy(logits, label[:, 0], weight=torch.tensor(WEIGHTS, dtype=torch.float64))
    both = SegmentationLoss("dice_weighted_ce", class_weights=WEIGHTS)(logits, label)
    torch.testing.assert_close(SegmentationLoss("weighted_ce", class_weights=WEIGHTS)(logits, label), weighted)
    torch.testing.assert_close(both, weighted + SegmentationLoss("dice")(logits, label))
    monai = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, weight=torch.tensor(WEIGHTS, dtype=torch.float64))
    assert abs(float((both - monai(logits, label)).detach())) > 0.01


def test_weights_of_an_epoch_have_a_plain_mean_and_begin_at_one() -> None:
    logits, label = example()
    loss = SegmentationLoss("weighted_ce", class_weights="epoch")
    torch.testing.assert_close(loss(logits, label), functional.cross_entropy(logits, label[:, 0]))
    loss.class_weights = torch.tensor(WEIGHTS)
    voxels = functional.cross_entropy(logits, label[:, 0], reduction="none")
    expected = (voxels * torch.tensor(WEIGHTS, dtype=torch.float64)[label[:, 0]]).mean()
    torch.testing.assert_close(loss(logits, label), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["dice", "ce", "focal", "dice_ce", "dice_focal"])
def test_losses_of_regions_are_those_of_each_region_alone(name: str) -> None:
    logits, label = example(3)
    target = torch.cat([(label >= value).double() for value in (1, 2, 3)], 1)
    bce = functional.binary_cross_entropy_with_logits(logits, target)
    dice = dice_by_definition(logits.sigmoid(), target)
    hit = torch.where(target > 0, logits.sigmoid(), 1 - logits.sigmoid())
    focal = (-((1 - hit) ** 2) * hit.log()).mean()
    expected = {"dice": dice, "ce": bce, "focal": focal, "dice_ce": dice + bce, "dice_focal": dice + focal}[name]
    loss = SegmentationLoss(name, regions=REGIONS)(logits, label)
    torch.testing.assert_close(loss, expected.to(loss.dtype), rtol=1e-5, atol=1e-6)


def test_regions_have_weights_too() -> None:
    logits, label = example(3)
    target = torch.cat([(label >= value).double() for value in (1, 2, 3)], 1)
    each = [functional.binary_cross_entropy_with_logits(logits[:, i], target[:, i]) for i in range(3)]
    expected = (each[0] + 2 * each[1] + 5 * each[2]) / 8
    found = SegmentationLoss("weighted_ce", class_weights=[1, 2, 5], regions=REGIONS)(logits, label)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["dice", "ce", "focal", "dice_ce", "dice_focal"])
@pytest.mark.parametrize("regions", [None, REGIONS], ids=["classes", "regions"])
def test_gradients_are_right(name: str, regions: Any) -> None:
    logits, label = example(4 if regions is None else 3)
    loss = SegmentationLoss(name, regions=regions)
    loss(logits, label).backward()
    step = torch.zeros_like(logits)
    step[1, 2, 3, 1, 2] = 1e-3
    with torch.no_grad():
        slope = (loss(logits + step, label) - loss(logits - step, label)) / 2e-3
    assert float(logits.grad[1, 2, 3, 1, 2]) == pytest.approx(float(slope), rel=2e-2, abs=2e-5)


@pytest.mark.parametrize("options", [{"name": "dice_focal"}, {"name": "dice_ce", "regions": REGIONS}])
def test_deep_supervision_goes_with_every_loss(options: dict[str, Any]) -> None:
    loss = SegmentationLoss(**options)
    channels = 3 if "regions" in options else 4
    generator = torch.Generator().manual_seed(1)
    levels = [torch.randn(1, channels, size, size, size, generator=generator) for size in (8, 4)]
    label = torch.randint(0, 4, (1, 1, 8, 8, 8), generator=generator).float()
    small = functional.interpolate(label, size=(4, 4, 4), mode="nearest-exact")
    expected = loss(levels[0], label) + 0.5 * loss(levels[1], small)
    torch.testing.assert_close(DeepSupervisionLoss(loss)(levels, label), expected)


def test_metadata_and_half_precision_are_taken() -> None:
    logits, label = example()
    expected = SegmentationLoss()(logits.half().float(), label)
    found = SegmentationLoss()(MetaTensor(logits.half()), MetaTensor(label))
    assert type(found) is torch.Tensor
    torch.testing.assert_close(found, expected)


def test_masks_of_regions_overlap() -> None:
    label = torch.tensor([[0, 1, 2, 3]])
    assert region_masks(label, [[1, 2, 3], [3]]).int().tolist() == [[0, 1, 1, 1], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "dise"}, "loss_name must be one of dice, ce, focal, dice_ce"),
        ({"name": "dice", "class_weights": [1, 2]}, "null for the other losses, got .* for 'dice'"),
        ({"name": "weighted_ce"}, "class_weights must be numbers or 'epoch' for weighted_ce"),
        ({"name": "weighted_ce", "class_weights": "batch"}, "class_weights must be 'epoch' or numbers"),
        ({"name": "weighted_ce", "class_weights": [1, -1]}, "numbers of 0 or more"),
        ({"name": "weighted_ce", "class_weights": [0, 0]}, "not all 0"),
        ({"name": "weighted_ce", "class_weights": []}, "not all 0"),
        ({"regions": {}}, "regions must name one region"),
        ({"regions": {"whole": []}}, "with their label values"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegmentationLoss(**options)


@pytest.mark.parametrize(
    ("options", "channels", "message"),
    [
        ({}, 4, r"got \(1, 4, 5, 5, 5\) and \(1, 1, 5, 5, 6\)"),
        ({"regions": REGIONS}, 4, "each of 3 regions, got 4; set network_def#out_channels"),
        ({"name": "weighted_ce", "class_weights": [1, 2]}, 4, "each of 4 channels, got 2"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(options: dict[str, Any], channels: int, message: str) -> None:
    size = (5, 5, 6) if not options else (5, 5, 5)
    with pytest.raises(ValueError, match=message):
        SegmentationLoss(**options)(torch.zeros(1, channels, 5, 5, 5), torch.zeros(1, 1, *size))


def test_a_patch_without_a_class_that_counts_has_no_loss() -> None:
    loss = SegmentationLoss("weighted_ce", class_weights=[0.0, 1.0])
    assert loss(torch.zeros(1, 2, 3, 3, 3), torch.zeros(1, 1, 3, 3, 3)) == 0


@pytest.mark.parametrize("name", ["dice", "ce", "focal", "dice_ce", "dice_focal", "weighted_ce", "dice_weighted_ce"])
@pytest.mark.parametrize("regions", [None, REGIONS])
def test_ignored_voxels_are_left_out_of_every_term(name: str, regions: dict | None) -> None:
    """A loss with a half that is ignored is that of the other half alone, whatever the network says there."""
    logits, label = example(3 if regions else 4)
    weights = WEIGHTS[: logits.size(1)] if "weighted" in name else None
    loss = SegmentationLoss(name, class_weights=weights, regions=regions)
    masked = label.float()
    masked[:, :, :2] = -1
    found = loss(logits, masked)
    torch.testing.assert_close(found, loss(logits[:, :, 2:], label[:, :, 2:]))
    (gradient,) = torch.autograd.grad(found, logits)
    assert not gradient[:, :, :2].any()
    assert gradient[:, :, 2:].any()


def test_a_sample_of_which_all_is_ignored_has_no_loss_and_no_gradient() -> None:
    logits, label = example()
    loss = SegmentationLoss("dice_ce")(logits, torch.full_like(label, -1))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0
    assert not gradient.any()


def test_deep_supervision_ignores_the_same_voxels() -> None:
    logits, label = example()
    coarse = torch.randn(2, 4, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    masked = label.float()
    masked[:, :, :, :3] = -1
    loss = DeepSupervisionLoss(SegmentationLoss("dice_ce"))([logits, coarse], masked)
    for gradient in torch.autograd.grad(loss, [logits, coarse]):
        half = gradient.size(3) // 2
        assert gradient[:, :, :, half:].any()
        assert not gradient[:, :, :, :half].any()
