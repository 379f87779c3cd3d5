"""Cross-entropy of candidates."""

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor

from bundle.losses.candidate_loss import CandidateLoss


def logits_of(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def literal(logits: torch.Tensor, target: torch.Tensor, none_weight: float) -> float:
    """Loop over all candidates that are there."""
    total, weights = 0.0, 0.0
    for row, label in zip(logits.flatten(0, 1).tolist(), target.flatten().tolist(), strict=True):
        if label >= 0:
            weight = none_weight if label == len(row) - 1 else 1.0
            total += weight * (math.log(sum(math.exp(value) for value in row)) - row[label])
            weights += weight
    return total / weights


@pytest.mark.parametrize("none_weight", [1.0, 0.3])
def test_loss_is_the_mean_over_the_candidates_that_are_there(none_weight: float) -> None:
    logits, target = logits_of(2, 5, 4), torch.tensor([[0, 3, 1, -1, -1], [2, 3, 3, 0, -1]])
    loss = CandidateLoss(none_weight=none_weight)(logits, target)
    assert loss.item() == pytest.approx(literal(logits, target, none_weight), rel=1e-12)


def test_a_place_without_candidate_has_exactly_no_gradient() -> None:
    logits, target = logits_of(1, 4, 3).requires_grad_(), torch.tensor([[0, -1, 2, -1]])
    CandidateLoss()(logits, target).backward()
    assert not logits.grad[0, [1, 3]].any()
    assert logits.grad[0, [0, 2]].any(dim=-1).all()


def test_a_batch_without_any_candidate_has_no_loss_and_no_gradient() -> None:
    logits = logits_of(2, 3, 4).requires_grad_()
    loss = CandidateLoss()(logits, torch.full((2, 3), -1))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()
    assert CandidateLoss()(logits_of(2, 0, 4), torch.zeros(2, 0)).item() == 0


def test_smoothing_makes_certainty_cost() -> None:
    logits, target = 30 * torch.eye(3)[None], torch.arange(3)[None]
    assert CandidateLoss()(logits, target) < 1e-6
    assert CandidateLoss(label_smoothing=0.1)(logits, target) == pytest.approx(30 * 0.1 * 2 / 3, rel=1e-4)


def test_half_precision_and_metatensors_are_in_order() -> None:
    logits, target = logits_of(1, 3, 4).bfloat16(), MetaTensor(torch.tensor([[0.0, 3.0, -1.0]]))
    loss = CandidateLoss()(logits, target)
    assert type(loss) is torch.Tensor
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, CandidateLoss()(logits.float(), target))


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        ((2, 3), torch.zeros(2), r"must be \(B, N, C\) and \(B, N\), got \(2, 3\) and \(2,\)"),
        ((1, 3, 4), torch.zeros(1, 2), r"got \(1, 3, 4\) and \(1, 2\)"),
        ((1, 2, 4), torch.tensor([[0, 4]]), "from -1 to 3, the last of 4 logits, got 0 to 4"),
        ((1, 2, 4), torch.tensor([[-2, 3]]), "got -2 to 3"),
    ],
)
def test_what_does_not_fit_is_refused(logits: tuple[int, ...], target: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CandidateLoss()(torch.zeros(logits), target)


@pytest.mark.parametrize(
    ("option", "value"),
    [("none_weight", 0.0), ("none_weight", math.nan), ("label_smoothing", 1.0), ("label_smoothing", -0.1)],
)
def test_bad_option_is_refused_by_its_name(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{option} must"):
        CandidateLoss(**{option: value})
