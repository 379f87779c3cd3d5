"""Atrous spatial pyramid pooling.

Paper: Rethinking Atrous Convolution for Semantic Image Segmentation (Chen et al. 2017),
https://arxiv.org/abs/1706.05587. Differs from it: the image pooling has a bias in place of normalization. After it a
channel is a single value, which batch normalization cannot treat in a training with batches of one, and which
normalization by instance would erase. It is not ``monai.networks.blocks.SimpleASPP``, which has neither image pooling
nor projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Dropout, Pool
from torch import nn

from .convolution import ConvNormAct, SeparableConv


class AtrousPyramid(nn.Module):
    """A convolution of size 1, dilated convolutions of size 3 and image pooling, in parallel.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of every branch.
        rates: dilations of the convolutions of size 3, in voxels of the input.
        separable: whether those are depthwise separable.
        act: MONAI activation option.
        norm: MONAI normalization option.

    Raises:
        ValueError: when a rate is not positive.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int = 256,
        *,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
        act: Any = "relu",
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        if len(rates) == 0 or min(rates) < 1:
            raise ValueError(f"rates needs one positive dilation or more, got {list(rates)}.")
        conv = SeparableConv if separable else ConvNormAct
        adn = {"act": act, "norm": norm}
        self.branches = nn.ModuleList([ConvNormAct(spatial_dims, in_channels, out_channels, kernel_size=1, **adn)])
        self.branches.extend(conv(spatial_dims, in_channels, out_channels, dilation=rate, **adn) for rate in rates)
        self.pooling = nn.Sequential(
            Pool[Pool.ADAPTIVEAVG, spatial_dims](1),
            ConvNormAct(spatial_dims, in_channels, out_channels, kernel_size=1, act=act, norm=None),
        )

    def pyramid(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the branches of ``x``, each ``(B, out_channels, ...)``: size 1, every rate, image pooling."""
        levels: list[torch.Tensor] = []
        for branch in self.branches:
            levels.append(branch(x))
        levels.append(self.pooling(x).expand_as(levels[0]))
        return levels


class ASPP(AtrousPyramid):
    """The branches of :class:`AtrousPyramid` and their projection.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of every branch and of the projection.
        rates: dilations of the convolutions of size 3, in voxels of the input.
        separable: whether those are depthwise separable.
        act: MONAI activation option.
        norm: MONAI normalization option.
        dropout: probability of dropping a channel after the projection, or None.

    Raises:
        ValueError: when a rate is not positive.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int = 256,
        *,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = None,
    ) -> None:
        adn = {"act": act, "norm": norm}
        super().__init__(spatial_dims, in_channels, out_channels, rates=rates, separable=separable, **adn)
        width = out_channels * (len(rates) + 2)
        self.project = ConvNormAct(spatial_dims, width, out_channels, kernel_size=1, **adn)
        self.dropout = nn.Identity() if dropout is None else Dropout[Dropout.DROPOUT, spatial_dims](dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``, of the same spatial size."""
        return self.dropout(self.project(torch.cat(self.pyramid(x), dim=1)))
