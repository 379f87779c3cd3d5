"""Mean squared error of heat maps over the landmarks with a reference.

Source: the loss of the pose-estimation approach to the labeling of intervertebral discs (Azad et al.,
https://arxiv.org/abs/2108.06554), half the mean of the squared differences times the visibility of the landmark.
Differs from it in the source of the visibility: a target that is NaN is unknown. Optionally, cells with a landmark
have larger weights: at a quarter of the resolution they are one in a thousand.
"""

from __future__ import annotations

import torch
from torch import nn

from bundle.utils.option_checks import check_not_negative

from .loss_checks import check_maps, working_type


class JointMSELoss(nn.Module):
    """``1/J sum_j 0.5 mean((w_j (p_j - t_j))^2)`` over J landmarks, the mean over samples and cells.

    A cell whose target is NaN is not part of the sum and has no gradient, but counts in the means, so that a landmark
    has the same weight in every batch. A landmark that is known to be absent has a target of zeros.

    Args:
        foreground: the square of a cell is weighted by ``1 + foreground * t``; 0 as published. With 0, a network with
            24 maps still predicted zero everywhere after 600 steps, with 50 it predicted peaks after 120. The larger,
            the higher the predictions where the network is uncertain.

    Raises:
        ValueError: when ``foreground`` is negative.

    Examples:
        >>> print(f"{JointMSELoss()(torch.ones(1, 11, 16, 16), torch.zeros(1, 11, 16, 16)):.4f}")
        0.5000
    """

    def __init__(self, *, foreground: float = 0.0) -> None:
        super().__init__()
        check_not_negative(foreground=foreground)
        self.foreground = foreground

    def forward(self, maps: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            maps: heat maps ``(B, J, ...)``.
            target: their targets, of the same shape; NaN where it is unknown.
            weight: visibility w of the landmarks ``(B, J)``, besides the NaN of the target; None for 1 everywhere.

        Raises:
            ValueError: when the shapes do not fit.
        """
        check_maps(maps, target)
        difference = torch.where(target.isnan(), 0.0, maps.to(working_type(maps)) - target)
        if weight is not None:
            if weight.shape != maps.shape[:2]:
                raise ValueError(f"weight must be (B, J) = {tuple(maps.shape[:2])}, got {tuple(weight.shape)}.")
            difference = difference * weight.reshape(list(weight.shape) + [1] * (maps.dim() - 2))
        squares = difference.square()
        if self.foreground:
            squares = squares * (1 + self.foreground * target.nan_to_num())
        return 0.5 * squares.mean()
