"""Loss of the contextual attention network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.transforms.utils_morphological_ops import dilate
from torch.nn import functional

from bundle.losses import ContextualLoss


def outputs(size: tuple[int, int] = (32, 48), classes: int = 1, batch: int = 2) -> list[torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.randn(batch, classes, *size, dtype=torch.float64)
    boundary, regions = torch.randn(batch, 1, *size).double(), torch.randn(batch, 1, 2, 3).double()
    return [tensor.requires_grad_() for tensor in (mask, boundary, regions)]


def target(size: tuple[int, int] = (32, 48), classes: int = 1) -> torch.Tensor:
    y = torch.zeros(2, classes, *size).double()
    y[0, 0, 5:20, 18:30] = 1
    y[1, -1, 25:, 40:] = 1
    return y


def cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    p = 1 / (1 + torch.exp(-logits))
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


@pytest.mark.parametrize("classes", [1, 2])
def test_loss_and_its_gradients_are_the_weighted_sum_of_the_authors(classes: int) -> None:
    maps, y = outputs(classes=classes), target(classes=classes)
    whole = y.max(1, keepdim=True).values
    shares = functional.avg_pool2d(whole, 16)
    shares = shares / shares.amax((2, 3), keepdim=True)
    error = (1 / (1 + torch.exp(-maps[2])) - shares).square().mean()
    edges = cross_entropy(maps[1], dilate(whole, 7) - whole)
    wanted = 0.7 * cross_entropy(maps[0], y) + 0.1 * error + 0.2 * edges
    loss = ContextualLoss()(maps, y)
    torch.testing.assert_close(loss, wanted)
    for ours, theirs in zip(torch.autograd.grad(loss, maps), torch.autograd.grad(wanted, maps), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_mask_alone_is_judged_by_its_cross_entropy() -> None:
    maps, y = outputs(), target()
    torch.testing.assert_close(ContextualLoss()(maps[0], y), cross_entropy(maps[0], y))


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 2.0, 3.0)])
def test_terms_have_their_weights(weights: tuple[float, float, float]) -> None:
    maps, y = outputs(), target()
    names = ("mask_weight", "boundary_weight", "region_weight")
    terms = [ContextualLoss(**{name: float(name == term) for name in names})(maps, y) for term in names]
    wanted = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    torch.testing.assert_close(ContextualLoss(**dict(zip(names, weights, strict=True)))(maps, y), wanted)


def test_empty_masks_have_a_finite_loss_and_empty_targets() -> None:
    empty = torch.zeros(2, 1, 32, 48)
    maps = [torch.full((2, 1, 32, 48), -40.0), torch.full((2, 1, 32, 48), -40.0), torch.full((2, 1, 2, 3), -40.0)]
    assert ContextualLoss()(maps, empty) == pytest.approx(0.0, abs=1e-6)
    leaves = outputs()
    ContextualLoss()(leaves, empty).backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)


def test_size_that_is_no_multiple_of_the_patches_is_taken() -> None:
    maps, y = outputs((31, 40)), target((31, 40))
    assert ContextualLoss()(maps, y).isfinite()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8])
def test_half_logits_and_whole_number_masks_are_computed_in_single_precision(kind: torch.dtype) -> None:
    maps, y = outputs(), target()
    loss = ContextualLoss()([logits.half() for logits in maps], y.to(kind))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), ContextualLoss()(maps, y), rtol=1e-3, atol=1e-3)


def test_unlabeled_pixels_do_not_pull_on_mask_and_boundary() -> None:
    loss, target = ContextualLoss(patch_size=8), torch.zeros(1, 1, 16, 16)
    target[..., 4:10, 4:10] = 1
    target[..., :8, 8:] = -1
    regions = torch.zeros(1, 1, 2, 2)
    found = []
    for logit in (-1.0, -100.0):
        mask = torch.where(target < 0, logit, 2 * target - 1)
        found.append(loss([mask, mask, regions], target))
        assert loss(mask, target) == loss(torch.where(target < 0, 0.0, mask), target)
    assert found[0] == found[1]
    assert loss(torch.zeros_like(target), torch.full_like(target, -1)) == 0


def test_outputs_that_do_not_fit_are_refused() -> None:
    maps, y = outputs(), target()
    with pytest.raises(ValueError, match="outputs must be a mask, or mask, boundary and regions, got 2"):
        ContextualLoss()(maps[:2], y)
    with pytest.raises(ValueError, match="logits and targets must have the same shape"):
        ContextualLoss(patch_size=8)(maps, y)
    with pytest.raises(ValueError, match="logits and targets must have the same shape"):
        ContextualLoss()(maps[0], y[:1])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mask_weight", -1),
        ("boundary_weight", -1),
        ("region_weight", float("nan")),
        ("boundary_width", 0),
        ("patch_size", 0),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be"):
        ContextualLoss(**{option: value})
