"""Binary cross-entropy plus soft Dice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.losses import DiceCELoss

from bundle.losses import BCEDiceLoss


def case(classes: int = 1, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(batch, classes, 7, 9, dtype=torch.float64)
    return logits, (torch.rand_like(logits) > 0.6).double()


def literal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute the loss of the source, a class at a time, by its formula in probabilities."""
    p = 1 / (1 + torch.exp(-logits))
    bce = -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()
    dice = [
        1 - (2 * (p[:, c] * target[:, c]).sum() + 1) / (p[:, c].sum() + target[:, c].sum() + 1)
        for c in range(p.size(1))
    ]
    return (bce + sum(dice) / len(dice)) / 2


@pytest.mark.parametrize("classes", [1, 2])
def test_loss_and_its_gradient_are_those_of_the_source(classes: int) -> None:
    logits, target = case(classes)
    results = []
    for function in (BCEDiceLoss(), literal):
        leaf = logits.clone().requires_grad_()
        loss = function(leaf, target)
        results.append((loss.detach(), *torch.autograd.grad(loss, leaf)))
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-12)


def test_loss_is_that_of_monai() -> None:
    logits, target = case()
    options: dict[str, Any] = {"lambda_dice": 0.5, "lambda_ce": 0.5, "smooth_nr": 1, "smooth_dr": 1}
    wanted = DiceCELoss(sigmoid=True, batch=True, **options)(logits, target)
    torch.testing.assert_close(BCEDiceLoss()(logits, target), wanted)


def test_soft_masks_are_taken_as_they_are() -> None:
    logits, target = case()
    torch.testing.assert_close(BCEDiceLoss()(logits, target * 0.3), literal(logits, target * 0.3))


def test_dice_per_sample_averages_over_the_batch() -> None:
    logits, target = case()
    loss = BCEDiceLoss(batch=False)
    single = torch.stack([loss(logits[index : index + 1], target[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(loss(logits, target), single.mean())


def test_terms_have_their_weights() -> None:
    logits, target = case()
    bce, dice = (BCEDiceLoss(bce_weight=a, dice_weight=b)(logits, target) for a, b in ((1.0, 0.0), (0.0, 1.0)))
    torch.testing.assert_close(BCEDiceLoss(bce_weight=0.3, dice_weight=2.0)(logits, target), 0.3 * bce + 2 * dice)


def test_empty_mask_has_a_finite_loss_that_is_0_for_the_right_answer() -> None:
    target = torch.zeros(2, 1, 8, 8)
    logits = torch.full_like(target, -40.0).requires_grad_()
    loss = BCEDiceLoss()(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert BCEDiceLoss()(torch.zeros_like(target), target).isfinite()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64])
def test_half_logits_and_whole_number_masks_are_computed_in_single_precision(kind: torch.dtype) -> None:
    logits, target = case()
    loss = BCEDiceLoss()(logits.half(), target.to(kind))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), literal(logits, target), rtol=1e-3, atol=1e-3)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"logits and targets must have the same shape .* \(1, 2, 4, 4\) and \(1, 1, 4, 4\)"
    ):
        BCEDiceLoss()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize(("option", "value"), [("bce_weight", -1.0), ("dice_weight", -0.1), ("smooth", 0.0)])
def test_bad_option_is_refused_by_its_name(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be"):
        BCEDiceLoss(**{option: value})


@pytest.mark.parametrize("batch", [True, False])
def test_ignored_voxels_are_as_if_they_were_cut_out(batch: bool) -> None:
    logits, target = case()
    logits = logits.detach().requires_grad_()
    loss = BCEDiceLoss(batch=batch)
    cut = loss(logits[..., 3:], target[..., 3:])
    masked = target.clone()
    masked[..., :3] = -1
    found = loss(logits, masked)
    torch.testing.assert_close(found, cut)
    (gradient,) = torch.autograd.grad(found, logits)
    assert not gradient[..., :3].any()
    torch.testing.assert_close(gradient[..., 3:], torch.autograd.grad(cut, logits)[0][..., 3:])


def test_without_a_voxel_that_counts_the_cross_entropy_is_0() -> None:
    logits, target = case()
    assert BCEDiceLoss(dice_weight=0)(logits, torch.full_like(target, -1)) == 0
