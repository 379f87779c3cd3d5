"""Convolutional block attention module: a channel gate, then a gate per voxel.

Paper: Woo et al., CBAM: Convolutional Block Attention Module (ECCV 2018), https://arxiv.org/abs/1807.06521, section 3.
The gate per voxel sees the map that the channel gate has scaled. Differs from the paper in that the kernel has as many
axes as the map, the hidden layer keeps at least one unit, and the normalization is an argument (the paper has batch
normalization).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import nn
from torch.nn import functional

from .squeeze import ChannelGate


class PlaneByPlaneConv3d(nn.Conv3d):
    """``nn.Conv3d`` to one channel, computed as a 2D convolution of every plane and a sum over neighboring planes.

    Same parameters and numbers. With so few channels PyTorch's own 3D kernel on a CPU takes 3 to 4 times as long.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, 1, D, H, W)`` of ``x`` ``(B, in_channels, D, H, W)``."""
        batch, channels, depth, height, width = x.shape
        taps, margin = self.weight.size(2), self.weight.size(2) // 2
        planes = x.transpose(1, 2).reshape(batch * depth, channels, height, width)
        parts = functional.conv2d(planes, self.weight[0].transpose(0, 1), padding=margin)
        parts = functional.pad(parts.reshape(batch, depth, taps, height, width), [0, 0, 0, 0, 0, 0, margin, margin])
        total = parts[:, :depth, 0]
        for tap in range(1, taps):
            total = total + parts[:, tap : tap + depth, tap]
        bias = self.bias
        return (total if bias is None else total + bias).unsqueeze(1)


class CBAM(nn.Module):
    """Scale channels by ``sigmoid(MLP(mean) + MLP(max))``, then voxels by ``sigmoid(norm(conv([max; mean])))``.

    The first pair of descriptors is pooled over the voxels, the second over the channels of the scaled map.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        reduction: ratio of the channels to the hidden units of the MLP.
        kernel_size: odd size of the convolution of the gate per voxel.
        norm: MONAI normalization option of its one channel, or None. Batch normalization needs more than one voxel
            per batch in training.

    Raises:
        ValueError: when ``reduction`` is below 1, ``kernel_size`` is not positive and odd, or ``norm`` is unknown.

    Examples:
        >>> block = CBAM(3, 16)
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        reduction: int = 16,
        kernel_size: int = 7,
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be positive and odd, got {kernel_size}.")
        self.axes = list(range(2, 2 + spatial_dims))
        self.channel = ChannelGate(channels, reduction, "avg_and_max")
        kind = PlaneByPlaneConv3d if spatial_dims == 3 else nn.Conv2d
        conv = kind(2, 1, kernel_size, padding=kernel_size // 2, bias=norm is None)
        layers = [conv] if norm is None else [conv, get_norm_layer(norm, spatial_dims, 1)]
        self.spatial = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, ...)``."""
        gate = self.channel(torch.mean(x, self.axes), torch.amax(x, self.axes))
        x = x * gate.to(x.dtype).reshape(list(gate.shape) + [1] * len(self.axes))
        pooled = torch.cat([torch.amax(x, 1, keepdim=True), torch.mean(x, 1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.spatial(pooled)).to(x.dtype)
