"""Skeletal loss: the distances between landmarks, compared with those of the reference.

Paper: Bozorgpour et al., HCA-Net: Hierarchical Context Attention Network for Intervertebral Disc Semantic Labeling,
https://arxiv.org/abs/2311.12486; the weighted difference of pairwise distances. Differs from it: the landmarks are
located by a soft maximum of the maps, so that the loss has a gradient (the maximum that the authors take has none), the
sum is divided by that of its weights, and lengths are in units of the longest side of the map.
"""

from __future__ import annotations

import torch
from torch import nn

from bundle.utils.option_checks import check_above_zero

from .loss_checks import check_maps, working_type


class SkeletalLoss(nn.Module):
    """``sum_{a<b} decay^(b-a) (|g_a - g_b| - |p_a - p_b|)^2``, over the sum of the weights, mean over the samples.

    The sum runs over the pairs of landmarks that are visible in a sample: the target has a peak of ``least_peak`` or
    more. A sample with fewer than two has a loss of zero. The points g of the target and p of the
    maps are located by the same soft maximum, sharpened by the peak of the target, so that maps that equal their
    targets have a loss of exactly zero, whatever the peaks are.

    Args:
        decay: factor of the weight from one landmark to the next, above 0, at most 1.
        sharpness: factor in the exponent of the soft maximum of a map with a peak of 1. Below the logarithm of the
            number of cells, the background moves the points to the center of the map.
        least_peak: peak of a target, above 0, that counts as visible.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> maps = torch.rand(1, 11, 16, 16)
        >>> print(f"{SkeletalLoss()(maps, maps):.4f}")
        0.0000
    """

    def __init__(self, *, decay: float = 0.8, sharpness: float = 20.0, least_peak: float = 0.1) -> None:
        super().__init__()
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, got {decay}.")
        check_above_zero(sharpness=sharpness, least_peak=least_peak)
        self.decay, self.sharpness, self.least_peak = decay, sharpness, least_peak

    def forward(self, maps: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            maps: heat maps ``(B, J, ...)``.
            target: their targets, of the same shape; NaN where it is unknown.

        Raises:
            ValueError: when the shapes do not fit.
        """
        check_maps(maps, target)
        target = target.to(working_type(maps)).nan_to_num(nan=0.0)
        peaks = target.flatten(2).amax(-1)
        visible = peaks >= self.least_peak
        sharpness = self.sharpness / peaks.clamp(min=self.least_peak)
        longest = max(maps.shape[2:])
        found = pairwise_distances(soft_argmax(maps.to(target.dtype), sharpness) / longest)
        true = pairwise_distances(soft_argmax(target, sharpness) / longest)
        weights = self._weights(visible, target.dtype)
        total = (weights * (true - found).square()).sum((1, 2))
        return (total / weights.sum((1, 2)).clamp(min=torch.finfo(total.dtype).tiny)).mean()

    def _weights(self, visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return the weight of every pair a < b of visible landmarks, ``(B, J, J)``."""
        order = torch.arange(visible.size(1), device=visible.device)
        steps = order[None] - order[:, None]
        weights = torch.where(steps > 0, self.decay ** steps.clamp(min=0).to(dtype), 0.0)
        return weights * visible[:, :, None] * visible[:, None, :]


def soft_argmax(maps: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """Return the mean index of every map under the weights ``softmax(sharpness * map)``.

    Args:
        maps: ``(B, J, ...)``.
        sharpness: factor of every map, ``(B, J)``.

    Returns:
        Indices of cells ``(B, J, number of axes)``, with a gradient in ``maps``.
    """
    weights = torch.softmax(maps.flatten(2) * sharpness[..., None], dim=-1).reshape(maps.shape)
    axes = range(2, maps.dim())
    points = []
    for axis in axes:
        profile = weights.sum([other for other in axes if other != axis]) if maps.dim() > 3 else weights
        points.append(profile @ torch.arange(maps.size(axis), dtype=maps.dtype, device=maps.device))
    return torch.stack(points, dim=-1)


def pairwise_distances(points: torch.Tensor) -> torch.Tensor:
    """Return the distances ``(B, J, J)`` between points ``(B, J, axes)``; where one is zero, its gradient is zero."""
    return torch.linalg.vector_norm(points[:, :, None] - points[:, None, :], dim=-1)
