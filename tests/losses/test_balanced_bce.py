"""Class-balanced binary cross-entropy."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from bundle.losses import BalancedBCELoss


def case(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(12, 2, *size, dtype=torch.float64)
    target = torch.zeros_like(logits)
    target[:3, 0] = 1
    target[:10, 1] = 1
    return logits, target


def terms(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    p = 1 / (1 + torch.exp(-logits))
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p))


@pytest.mark.parametrize("size", [(), (4, 5)])
def test_ones_and_zeros_of_a_batch_count_the_same(size: tuple[int, ...]) -> None:
    logits, target = case(*size)
    parts = []
    for label in range(2):
        values, reference = terms(logits, target)[:, label], target[:, label]
        parts.append((values[reference == 1].mean() + values[reference == 0].mean()) / 2)
    torch.testing.assert_close(BalancedBCELoss()(logits, target), sum(parts) / 2)


def test_counts_of_the_training_set_take_the_place_of_those_of_the_batch() -> None:
    logits, target = case()
    weights = torch.where(
        target == 1, torch.tensor([2000 / (2 * 374), 2000 / (2 * 254)]), torch.tensor([2000 / 3252, 2000 / 3492])
    )
    loss = BalancedBCELoss(positives=[374, 254], total=2000)
    torch.testing.assert_close(loss(logits, target), (weights * terms(logits, target)).mean())
    torch.testing.assert_close(loss(logits[:1], target[:1]), (weights * terms(logits, target))[:1].mean())


def test_weights_follow_the_effective_numbers() -> None:
    beta, ones, total = 0.99, 30, 200
    logits, target = case()
    inverse = {1: (1 - beta) / (1 - beta**ones), 0: (1 - beta) / (1 - beta ** (total - ones))}
    scale = total / (ones * inverse[1] + (total - ones) * inverse[0])
    weights = torch.where(target == 1, scale * inverse[1], scale * inverse[0])
    loss = BalancedBCELoss(positives=[ones, ones], total=total, beta=beta)(logits, target)
    torch.testing.assert_close(loss, (weights * terms(logits, target)).mean())


def test_beta_of_0_is_no_balance_and_of_almost_1_that_of_the_numbers() -> None:
    logits, target = case()
    plain = functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(BalancedBCELoss(beta=0.0)(logits, target), plain)
    close = BalancedBCELoss(beta=1 - 1e-9)(logits, target)
    torch.testing.assert_close(close, BalancedBCELoss()(logits, target), rtol=1e-5, atol=0)


def test_label_that_never_or_always_holds_has_the_weight_1() -> None:
    logits = case()[0]
    for value in (0.0, 1.0):
        target = torch.full_like(logits, value)
        plain = functional.binary_cross_entropy_with_logits(logits, target)
        for beta in (1.0, 0.9):
            torch.testing.assert_close(BalancedBCELoss(beta=beta)(logits, target), plain)
    leaf = logits.clone().requires_grad_()
    BalancedBCELoss()(leaf, torch.zeros_like(leaf)).backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


def test_soft_targets_count_by_their_parts() -> None:
    logits, target = torch.zeros(2, 1), torch.tensor([[0.5], [0.0]])
    weights = {1: 2 / (2 * 0.5), 0: 2 / (2 * 1.5)}
    wanted = (0.5 * weights[1] + 0.5 * weights[0] + weights[0]) / 2 * torch.log(torch.tensor(2.0))
    torch.testing.assert_close(BalancedBCELoss()(logits, target), wanted)


def test_half_logits_and_whole_number_targets_are_computed_in_single_precision() -> None:
    logits, target = case()
    loss = BalancedBCELoss()(logits.half(), target.long())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), BalancedBCELoss()(logits, target), rtol=1e-3, atol=1e-3)


def test_labels_that_were_not_counted_are_refused() -> None:
    logits, target = case()
    with pytest.raises(ValueError, match="positives must be one number for each of 2 labels, got 1"):
        BalancedBCELoss(positives=[3], total=12)(logits, target)
    with pytest.raises(ValueError, match="logits and targets must have the same shape"):
        BalancedBCELoss()(logits, target[:, :1])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"beta": 1.5}, "beta"),
        ({"beta": -0.1}, "beta"),
        ({"positives": [3]}, "total"),
        ({"total": 3}, "total"),
        ({"positives": [4], "total": 3}, "positives"),
        ({"positives": [-1], "total": 3}, "positives"),
        ({"positives": [], "total": 3}, "positives"),
    ],
)
def test_bad_option_is_refused_by_its_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        BalancedBCELoss(**options)
