"""Aligned Xception-65 as a trunk, in 2D or 3D.

Paper: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (Chen et al. 2018),
https://arxiv.org/abs/1802.02611, figure 4. Differs from it: no classifier, and attention can follow every feature. The
batch normalization has PyTorch's epsilon of 1e-5; ``["batch", {"eps": 0.001}]`` is that of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bundle.networks.blocks.convolution import ConvNormAct, SeparableConv, act_layer
from bundle.utils.option_checks import check_positive

from .trunk import Trunk, scaled, stride_and_dilations


class XceptionBlock(nn.Module):
    """Three separable convolutions, the activation before each, plus a shortcut.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        channels: channels of the three convolutions.
        project: whether the shortcut is a convolution of size 1 instead of the identity.
        steps: stride of the last convolution, dilation of all three.
        act: MONAI activation option.
        norm: MONAI normalization option.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        channels: Sequence[int],
        *,
        project: bool = True,
        steps: tuple[int, int] = (1, 1),
        act: Any,
        norm: Any,
    ) -> None:
        super().__init__()
        stride, dilation = steps
        one, two, three = channels
        shared = {"dilation": dilation, "act": None, "norm": norm}
        self.first = nn.Sequential(
            act_layer(act),
            SeparableConv(spatial_dims, in_channels, one, **shared),
            act_layer(act),
            SeparableConv(spatial_dims, one, two, **shared),
        )
        self.last = nn.Sequential(act_layer(act), SeparableConv(spatial_dims, two, three, stride=stride, **shared))
        projection = {"kernel_size": 1, "stride": stride, "act": None, "norm": norm}
        self.shortcut = ConvNormAct(spatial_dims, in_channels, three, **projection) if project else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, channels[2], ...)`` of ``x`` ``(B, in_channels, ...)``."""
        return self.last(self.first(x)) + self.shortcut(x)


class XceptionTrunk(Trunk):
    """The features of an aligned Xception.

    They are the map after the first two convolutions, the map before the stride of the second entry block (the
    low-level feature of DeepLab), and the maps of the second entry block, the middle flow and the exit flow.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        middle_blocks: number of blocks of the middle flow.
        width: factor of all published numbers of channels.
        output_stride: 8, 16 or 32; larger strides are replaced by dilation.
        act: MONAI activation option.
        norm: MONAI normalization option.
        gates: ``attention`` and ``spatial_size``, see :class:`Trunk`.

    Raises:
        ValueError: when an option is unknown.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        middle_blocks: int = 16,
        width: float = 1.0,
        output_stride: int = 16,
        act: Any = "relu",
        norm: Any = "batch",
        **gates: Any,
    ) -> None:
        check_positive(middle_blocks=middle_blocks)
        c32, c64, c128, c256, c728, c1024, c1536, c2048 = scaled((32, 64, 128, 256, 728, 1024, 1536, 2048), width)
        channels = (c64, c256, c256, c728, c2048)
        super().__init__(spatial_dims, channels, output_stride=output_stride, norm=norm, **gates)
        adn = {"act": act, "norm": norm}
        entry_stride, _, middle_rate = stride_and_dilations(16, output_stride)
        exit_stride, _, exit_rate = stride_and_dilations(32, output_stride)
        self.stem = nn.Sequential(
            ConvNormAct(spatial_dims, in_channels, c32, stride=2, **adn),
            ConvNormAct(spatial_dims, c32, c64, **adn),
        )
        self.entry1 = XceptionBlock(spatial_dims, c64, [c128] * 3, steps=(2, 1), **adn)
        self.entry2 = XceptionBlock(spatial_dims, c128, [c256] * 3, steps=(2, 1), **adn)
        self.entry3 = XceptionBlock(spatial_dims, c256, [c728] * 3, steps=(entry_stride, 1), **adn)
        same: dict[str, Any] = {"project": False, "steps": (1, middle_rate)}
        self.middle = nn.Sequential(
            *(XceptionBlock(spatial_dims, c728, [c728] * 3, **same, **adn) for _ in range(middle_blocks))
        )
        widths = (c728, c1024, c1024)
        self.exit1 = XceptionBlock(spatial_dims, c728, widths, steps=(exit_stride, middle_rate), **adn)
        self.exit2 = nn.Sequential(
            SeparableConv(spatial_dims, c1024, c1536, dilation=exit_rate, **adn),
            SeparableConv(spatial_dims, c1536, c1536, dilation=exit_rate, **adn),
            SeparableConv(spatial_dims, c1536, c2048, dilation=exit_rate, **adn),
        )

    def extract(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute the five features of ``x`` ``(B, in_channels, ...)``."""
        stem = self.gates[0](self.stem(x))
        entry = self.entry1(stem)
        low = self.gates[1](self.entry2.first(entry))
        second = self.gates[2](self.entry2.last(low) + self.entry2.shortcut(entry))
        middle = self.gates[3](self.middle(self.entry3(second)))
        last = self.gates[4](self.exit2(self.exit1(middle)))
        return [stem, low, second, middle, last]
