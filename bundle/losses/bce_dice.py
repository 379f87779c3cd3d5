"""Binary cross-entropy plus soft Dice, of a segmentation of classes that may overlap.

Source: the loss that the skin lesion segmentation of sarah-antillia (Apache-2.0) calls ``bce_dice_loss``: half the sum
of the mean cross-entropy and ``1 - (2 sum(p y) + 1) / (sum(p) + sum(y) + 1)``, its sums over the whole batch. Differs
from it: it takes logits, and has one Dice per class if there are several.
"""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_above_zero, check_not_negative

from .loss_checks import check_logits, working_type


class BCEDiceLoss(nn.Module):
    """Weighted sum of binary cross-entropy and soft Dice of logits against masks.

    Args:
        bce_weight: weight of the cross-entropy, the mean over all voxels.
        dice_weight: weight of the Dice term, the mean over the classes.
        smooth: number added to numerator and denominator of Dice; above 0, so that an empty mask is defined.
        batch: whether the sums of Dice run over the batch, as in the source, or sample by sample.

    Raises:
        ValueError: when a weight is negative or ``smooth`` is not positive; the message starts with the name.

    Examples:
        >>> loss = BCEDiceLoss(bce_weight=1.0, dice_weight=0.0)
        >>> print(f"{loss(torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):.4f}")
        0.6931
    """

    def __init__(
        self, *, bce_weight: float = 0.5, dice_weight: float = 0.5, smooth: float = 1.0, batch: bool = True
    ) -> None:
        super().__init__()
        check_not_negative(bce_weight=bce_weight, dice_weight=dice_weight)
        check_above_zero(smooth=smooth)
        self.bce_weight, self.dice_weight = bce_weight, dice_weight
        self.dice = DiceLoss(sigmoid=True, batch=batch, smooth_nr=smooth, smooth_dr=smooth)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            logits: ``(B, C, ...)``.
            target: masks of the same shape, 0 to 1, or negative for voxels that both terms leave out.

        Raises:
            ValueError: when the shapes differ.
        """
        check_logits(logits, target)
        logits = logits.to(working_type(logits))
        target = target.to(logits.dtype)
        ignored = target < 0
        if ignored.any():  # a logit far below 0 and a target of 0 add nothing to any sum
            logits, target = logits.masked_fill(ignored, -1e4), target.masked_fill(ignored, 0)
        bce = functional.binary_cross_entropy_with_logits(logits, target)
        if ignored.any():
            bce = bce * ignored.numel() / (~ignored).sum().clamp_min(1)
        return self.bce_weight * bce + self.dice_weight * self.dice(logits, target)
