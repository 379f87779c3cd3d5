"""Concurrent spatial and channel squeeze-and-excitation: a gate per channel and a gate per voxel, side by side.

Papers: Roy et al., Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks (MICCAI 2018),
https://arxiv.org/abs/1803.02579, which adds the two scaled maps, and Recalibrating Fully Convolutional Networks with
Spatial and Channel Squeeze & Excitation Blocks (IEEE TMI 2019), https://arxiv.org/abs/1808.08127, which compares
fusions and takes the larger value of the two. Differs from the papers in that every layer has a bias and the hidden
layer keeps at least one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.utils.check_choice import check_choice

from .squeeze import ChannelGate

Fusion = Literal["max", "add"]


class SpatialChannelExcitation(nn.Module):
    """Fuse ``x * sigmoid(MLP(mean x))``, one number per channel, and ``x * sigmoid(conv(x))``, one per voxel.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        reduction: ratio of the channels to the hidden units.
        fusion: ``"max"``, the larger of the two values (TMI 2019), or ``"add"`` (MICCAI 2018).

    Raises:
        ValueError: when ``reduction`` is below 1 or ``fusion`` is unknown.

    Examples:
        >>> block = SpatialChannelExcitation(2, 16)
        >>> block(torch.rand(2, 16, 24, 32)).shape
        torch.Size([2, 16, 24, 32])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        reduction: int = 2,
        fusion: Fusion = "max",
    ) -> None:
        super().__init__()
        check_choice("fusion", fusion, get_args(Fusion))
        self.fusion = fusion
        self.axes = list(range(2, 2 + spatial_dims))
        self.channel = ChannelGate(channels, reduction, "avg")
        self.spatial = Conv[Conv.CONV, spatial_dims](channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, ...)``."""
        mean = torch.mean(x, self.axes)
        gate = self.channel(mean, mean)
        channel = gate.to(x.dtype).reshape(list(gate.shape) + [1] * len(self.axes))
        spatial = torch.sigmoid(self.spatial(x)).to(x.dtype)
        if self.fusion == "add":
            return x * (channel + spatial)
        return torch.maximum(x * channel, x * spatial)
