"""Slice attention: one gate per channel and slice.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), first of
the three steps of the module. Every channel squeezes its slices and excites them through a separate MLP. Differs
from the original code: any batch size, any number of slices at run time, at least one hidden unit, and maximum
pooling that is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .squeeze import Pooling, SliceDescriptors, SliceGate, count_slices, scale_slices


class SliceAttention(nn.Module):
    """Scale every slice of every channel by ``sigmoid(MLP_c(pool(x)))``.

    Args:
        spatial_dims: must be 3.
        channels: channels of the feature map.
        spatial_size: spatial size of the feature map that the weights are made for.
        slice_dim: spatial axis of the slices.
        reduction: ratio of the number of slices to the hidden units.
        pooling: ``"avg"``, ``"max"``, or ``"avg_and_max"``, which adds the logits of both.

    Raises:
        ValueError: when the map is not 3D, ``spatial_size`` is missing, ``slice_dim`` or ``reduction`` is out of range,
            or ``pooling`` is unknown.

    Examples:
        >>> block = SliceAttention(3, 16, [8, 8, 10], reduction=2)
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        slice_dim: int = -1,
        reduction: int = 8,
        pooling: Pooling = "avg",
    ) -> None:
        super().__init__()
        slices = count_slices("sa", spatial_dims, spatial_size, slice_dim)
        self.slice_dim = slice_dim
        self.squeeze = SliceDescriptors(slice_dim, [pooling])
        self.slice = SliceGate(channels, slices, reduction, pooling)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, D, H, W)``."""
        mean, maximum = self.squeeze(x)
        return scale_slices(x, self.slice(mean, maximum), self.slice_dim)
