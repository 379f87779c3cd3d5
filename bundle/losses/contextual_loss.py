"""Loss of the contextual attention network: mask, boundary and regions.

Paper: Contextual Attention Network: Transformer Meets U-Net (Azad et al. 2022), https://arxiv.org/abs/2203.01932, with
the weights of its authors' code: 0.7 cross-entropy of the mask, 0.2 cross-entropy of the boundary, 0.1 squared error of
the region coefficients. Differs from it: it takes logits, and the targets of empty masks are defined, see
:mod:`bundle.losses.mask_targets`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_not_negative, check_positive

from .loss_checks import check_logits, working_type
from .mask_targets import boundary_target, region_target


class ContextualLoss(nn.Module):
    """Weighted sum of the terms of mask, boundary and regions; of a mask alone, its cross-entropy.

    A network that returns its auxiliary logits in training only is therefore trained on the sum, and evaluated on the
    mask, as by the authors. Boundary and regions are those of the union of all classes.

    Args:
        mask_weight: weight of the binary cross-entropy of the mask.
        boundary_weight: weight of the binary cross-entropy of the boundary.
        region_weight: weight of the mean squared error of the regions.
        boundary_width: width of the boundary in voxels, outside of the mask.
        patch_size: edge of the patches of the regions in voxels; that of the network.

    Raises:
        ValueError: when a weight is negative, or a width is not positive; the message starts with the name.

    Examples:
        >>> loss, mask = ContextualLoss(patch_size=8), torch.zeros(1, 1, 16, 16)
        >>> print(f"{loss(torch.zeros(1, 1, 16, 16), mask):.4f}")
        0.6931
        >>> outputs = [torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 2, 2)]
        >>> print(f"{loss(outputs, mask):.4f}")
        0.6488
    """

    def __init__(
        self,
        *,
        mask_weight: float = 0.7,
        boundary_weight: float = 0.2,
        region_weight: float = 0.1,
        boundary_width: int = 3,
        patch_size: int = 16,
    ) -> None:
        super().__init__()
        check_not_negative(mask_weight=mask_weight, boundary_weight=boundary_weight, region_weight=region_weight)
        check_positive(boundary_width=boundary_width, patch_size=patch_size)
        self.mask_weight, self.boundary_weight, self.region_weight = mask_weight, boundary_weight, region_weight
        self.boundary_width, self.patch_size = boundary_width, patch_size

    def forward(self, outputs: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            outputs: logits of the mask ``(B, C, ...)``; or three: those, the boundary ``(B, 1, ...)`` of the same size,
                and the regions ``(B, 1, ...)`` at one voxel per patch.
            target: masks ``(B, C, ...)``, 0 to 1; voxels below 0 are unlabeled, and left out of mask and boundary. In
                the regions, they count as background.

        Raises:
            ValueError: when there are not one or three outputs, or a shape does not fit.
        """
        if isinstance(outputs, torch.Tensor):
            return _cross_entropy(outputs, target)
        if len(outputs) != 3:
            raise ValueError(f"outputs must be a mask, or mask, boundary and regions, got {len(outputs)} of them.")
        mask, boundary, regions = outputs
        loss = self.mask_weight * _cross_entropy(mask, target)
        unlabeled = (target < 0).any(1, keepdim=True)
        union = target.to(working_type(mask)).amax(1, keepdim=True).clamp_min(0)
        edge = boundary_target(union, self.boundary_width).masked_fill(unlabeled, -1)
        loss = loss + self.boundary_weight * _cross_entropy(boundary, edge)
        wanted = region_target(union, self.patch_size)
        check_logits(regions, wanted)
        found = torch.sigmoid(regions.to(wanted.dtype))
        return loss + self.region_weight * functional.mse_loss(found, wanted)


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy over the labeled voxels, 0 where there is none."""
    check_logits(logits, target)
    logits = logits.to(working_type(logits))
    labeled = target >= 0
    loss = functional.binary_cross_entropy_with_logits(logits, target.clamp_min(0).to(logits.dtype), reduction="none")
    return (loss * labeled).sum() / labeled.sum().clamp_min(1)
