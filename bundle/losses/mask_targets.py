"""Targets computed from a mask: its outer boundary, and the share of every patch that it fills.

Source: the auxiliary targets of Contextual Attention Network: Transformer Meets U-Net (Azad et al. 2022),
https://arxiv.org/abs/2203.01932, as its authors' loader makes them. Differs from it: the targets of an empty mask are
zero (there they are undefined), any size of the image.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def boundary_target(mask: torch.Tensor, width: int = 3) -> torch.Tensor:
    """Return the ring around a mask: its dilation by a square (a cube) of edge ``2 width + 1``, minus the mask.

    Args:
        mask: ``(B, C, H, W)`` or ``(B, C, D, H, W)``, 0 to 1; a mask with soft edges gives a soft ring.
        width: width of the ring in voxels.
    """
    pool = functional.max_pool2d if mask.dim() == 4 else functional.max_pool3d
    return pool(mask, 2 * width + 1, stride=1, padding=width) - mask


def region_target(mask: torch.Tensor, patch_size: int = 16) -> torch.Tensor:
    """Return the share of a mask in every patch, relative to the patch of the sample with the largest share.

    Args:
        mask: ``(B, C, H, W)`` or ``(B, C, D, H, W)``, 0 to 1.
        patch_size: edge of a patch in voxels. The last patch of an axis may reach beyond the mask.

    Returns:
        ``(B, C, ...)`` with one voxel per patch, 0 to 1; zero if the mask is empty.
    """
    lacking = [value for size in reversed(mask.shape[2:]) for value in (0, -size % patch_size)]
    pool = functional.avg_pool2d if mask.dim() == 4 else functional.avg_pool3d
    shares = pool(functional.pad(mask, lacking), patch_size)
    most = shares.flatten(2).amax(-1).reshape(list(mask.shape[:2]) + [1] * (mask.dim() - 2))
    return shares / torch.where(most > 0, most, 1.0)
