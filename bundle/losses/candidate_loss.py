"""Cross-entropy of the levels of candidate points."""

from __future__ import annotations

import torch
from monai.utils import convert_to_tensor
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_above_zero

from .loss_checks import working_type

ABSENT = -1
"""Class of a place in a set without a candidate, or with one whose level is unknown."""


class CandidateLoss(nn.Module):
    """Cross-entropy of the classes of candidates: the levels and, last, "none".

    It is the mean over all candidates of the batch, so that a set of many counts for more than one of few. Candidates
    of the class -1 are ignored.

    Args:
        none_weight: weight of the candidates that are not a disc.
        label_smoothing: share of the target that is spread over all classes.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> loss = CandidateLoss(none_weight=0.5)
        >>> print(f"{loss(torch.zeros(1, 3, 5), torch.tensor([[0, 4, -1]])):.4f}")
        1.6094
    """

    def __init__(self, *, none_weight: float = 1.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        check_above_zero(none_weight=none_weight)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}.")
        self.none_weight, self.label_smoothing = none_weight, label_smoothing

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number; without any candidate it is zero.

        Args:
            logits: ``(B, N, C)``.
            target: classes ``(B, N)`` from 0 to C - 1, or -1.

        Raises:
            ValueError: when the shapes do not fit or a class is out of range.
        """
        target = convert_to_tensor(target, track_meta=False).long()
        if logits.dim() != 3 or target.shape != logits.shape[:2]:
            raise ValueError(
                "logits and classes of candidates must be (B, N, C) and (B, N), got "
                f"{tuple(logits.shape)} and {tuple(target.shape)}."
            )
        classes = logits.size(-1)
        if target.numel() and not ABSENT <= int(target.min()) <= int(target.max()) < classes:
            raise ValueError(
                f"classes of candidates must go from {ABSENT} to {classes - 1}, the last of {classes} logits, got "
                f"{int(target.min())} to {int(target.max())}."
            )
        weight = torch.ones(classes, dtype=working_type(logits), device=logits.device)
        weight[-1] = self.none_weight
        valid = target != ABSENT
        chosen = logits[valid].to(weight.dtype)
        loss = functional.cross_entropy(
            chosen, target[valid], weight, reduction="sum", label_smoothing=self.label_smoothing
        )
        return loss / weight[target[valid]].sum().clamp(min=torch.finfo(weight.dtype).tiny)
