"""Binary cross-entropy with larger weights for rare values.

Papers: the weights of a batch are those of Holistically-Nested Edge Detection (Xie and Tu 2015),
https://arxiv.org/abs/1504.06375; those of a data set with the effective number of samples are of Class-Balanced Loss
Based on Effective Number of Samples (Cui et al. 2019), https://arxiv.org/abs/1901.05555. Differs from both: the mean of
the weights over what was counted is 1, so that the learning rate need not change with the classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .loss_checks import check_logits, working_type


class BalancedBCELoss(nn.Module):
    """Mean binary cross-entropy of logits, each label with one weight for its 1s and one for its 0s.

    The weights are the inverse of the numbers of 1s and 0s of the label, so that both have the same total weight; or,
    with ``beta`` below 1, of their effective numbers ``(1 - beta^n) / (1 - beta)``. A label that is always 0, or always
    1, has the weight 1.

    Args:
        positives: how many samples of the training set have each label; None counts in every batch.
        total: number of samples of the training set; needed with ``positives``.
        beta: 0 (no balance) to 1 (inverse numbers).

    Raises:
        ValueError: when ``beta`` is out of range, or the counts do not fit together.

    Examples:
        >>> loss = BalancedBCELoss()
        >>> print(f"{loss(torch.zeros(4, 2), torch.tensor([[0.0, 1.0]] * 4)):.4f}")
        0.6931
    """

    def __init__(self, *, positives: Sequence[int] | None = None, total: int | None = None, beta: float = 1.0) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must be in [0, 1], got {beta}.")
        if (positives is None) != (total is None):
            raise ValueError(f"total is needed with positives, and only then, got {total} and {positives}.")
        self.beta = beta
        self.counts: tuple[torch.Tensor, torch.Tensor] | None = None
        if positives is not None and total is not None:
            if len(positives) == 0 or min(positives) < 0 or max(positives) > total:
                raise ValueError(f"positives must be numbers of 0 to total, {total}, one per label, got {positives}.")
            ones = torch.tensor(positives, dtype=torch.float64)
            self.counts = (ones, total - ones)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            logits: ``(B, C, ...)``, C labels.
            target: reference of the same shape, 0 to 1.

        Raises:
            ValueError: when the shapes differ, or C is not the number of labels that were counted.
        """
        check_logits(logits, target)
        logits = logits.to(working_type(logits))
        target = target.to(logits.dtype)
        ones, zeros = self.counts or _count(target)
        if len(ones) != logits.size(1):
            raise ValueError(f"positives must be one number for each of {logits.size(1)} labels, got {len(ones)}.")
        shape = [-1] + [1] * (logits.dim() - 2)
        of_ones, of_zeros = (weight.to(logits).reshape(shape) for weight in balanced_weights(ones, zeros, self.beta))
        weight = target * of_ones + (1 - target) * of_zeros
        return functional.binary_cross_entropy_with_logits(logits, target, weight=weight)


def balanced_weights(ones: torch.Tensor, zeros: torch.Tensor, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights of the 1s and of the 0s of every label, from their numbers; their mean over both is 1."""
    inverse = [torch.where(number > 0, 1 / _effective(number, beta), 0.0) for number in (ones, zeros)]
    scale = (ones + zeros) / (ones * inverse[0] + zeros * inverse[1])
    return scale * inverse[0], scale * inverse[1]


def _effective(number: torch.Tensor, beta: float) -> torch.Tensor:
    number = number.clamp(min=torch.finfo(number.dtype).tiny)
    return number if beta == 1 else (1 - beta**number) / (1 - beta)


def _count(target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many 1s and 0s every label of a batch has."""
    values = target.detach().to(torch.float64).movedim(1, 0).flatten(1)
    return values.sum(1), (1 - values).sum(1)
