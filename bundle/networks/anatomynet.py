"""AnatomyNet: residual U-Net with a single down-sampling, for small organs in complete volumes.

Paper: Zhu et al., AnatomyNet: Deep learning for fast and fully automated whole-volume segmentation of head and neck
anatomy, Medical Physics (2019), https://arxiv.org/abs/1808.05238. Differs from the paper: any attention mechanism may
take the place of squeeze-and-excitation; its ratio is 15 everywhere (the authors' decoder has 16 in every first block),
its hidden units are rectified without a leak; any size of input: the strided convolution rounds up, and what the
transposed convolution then has too much is after the last voxel and is cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer
from bundle.utils.option_checks import check_level_channels, check_positive, check_spatial_dims

from .blocks.convolution import adn


class AnatomyNet(nn.Module):
    """AnatomyNet in 2D or 3D; returns logits in training and in evaluation.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        channels: channels of every level, all of them of half the size of the input; half of the first is the width at
            full size.
        blocks: residual blocks of every level of the encoder and of the decoder.
        attention: mechanism inside every residual block, before the addition, see
            :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option, or None. Attention follows a normalization: after ``"instance"`` the mean of
            a channel is the same for every input, and squeeze-and-excitation by means has no information.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = AnatomyNet(3, 1, 3, channels=[8, 8], attention=("se", {"reduction": 4}))
        >>> net(torch.rand(1, 1, 16, 16, 20)).shape
        torch.Size([1, 3, 16, 16, 20])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (28, 30, 32, 34),
        blocks: int = 2,
        attention: AttentionSpec = ("se", {"reduction": 15}),
        spatial_size: Sequence[int] | None = None,
        act: Any = "leakyrelu",
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_level_channels(channels)
        check_positive(blocks=blocks)
        size = None if spatial_size is None else [(int(extent) + 1) // 2 for extent in spatial_size]
        options = {"act": act, "norm": norm}
        inner = {**options, "blocks": blocks, "attention": attention, "spatial_size": size}
        first, full = channels[0], max(channels[0] // 2, 1)
        self.stem = nn.Sequential(
            Conv[Conv.CONV, spatial_dims](in_channels, first, 3, stride=2, padding=1, bias=norm is None),
            adn(spatial_dims, first, **options, ordering="NA"),
        )
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        for level in range(1, len(channels)):
            self.encoders.append(_level(spatial_dims, channels[level - 1], channels[level], **inner))
        for level in reversed(range(len(channels) - 1)):
            joined = channels[level + 1] + channels[level]
            self.decoders.append(_level(spatial_dims, joined, channels[level], **inner))
        self.deconv = Conv[Conv.CONVTRANS, spatial_dims](first, full, 2, stride=2)
        self.last = ResidualBlock(
            spatial_dims, full + in_channels, full, attention=nn.Identity(), shortcut_size=3, **options
        )
        self.head = Conv[Conv.CONV, spatial_dims](full, out_channels, 3, padding=1)
        self.min_size = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis has a single voxel, which cannot be halved.
        """
        size = list(x.shape[2:])
        if min(size) < self.min_size:
            raise ValueError(f"every spatial axis needs at least {self.min_size} voxels, got {size}.")
        image = x
        x = self.stem(x)
        skips: list[torch.Tensor] = []
        for encoder in self.encoders:
            skips.append(x)
            x = encoder(x)
        for decoder in self.decoders:
            x = decoder(torch.cat([x, skips.pop()], dim=1))
        x = self.deconv(x)
        for axis, extent in enumerate(size):
            x = x.narrow(axis + 2, 0, extent)
        return self.head(self.last(torch.cat([x, image.to(x.dtype)], dim=1)))


class ResidualBlock(nn.Module):
    """Two convolutions of size 3 with normalization, attention, then the shortcut and the activation.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output; where they differ, the shortcut is a convolution with normalization.
        attention: attention block for ``out_channels``.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        shortcut_size: odd size of the convolution of the shortcut.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        attention: nn.Module,
        act: Any,
        norm: Any,
        shortcut_size: int = 1,
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *_conv_norm(spatial_dims, in_channels, out_channels, 3, norm),
            adn(spatial_dims, out_channels, act=act, norm=None, ordering="A"),
            *_conv_norm(spatial_dims, out_channels, out_channels, 3, norm),
        )
        self.attention = attention
        project = _conv_norm(spatial_dims, in_channels, out_channels, shortcut_size, norm)
        self.shortcut = nn.Identity() if in_channels == out_channels else nn.Sequential(*project)
        self.act = adn(spatial_dims, out_channels, act=act, norm=None, ordering="A")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``, of the same size."""
        return self.act(self.attention(self.convs(x)) + self.shortcut(x))


def _conv_norm(spatial_dims: int, in_channels: int, out_channels: int, kernel_size: int, norm: Any) -> list[nn.Module]:
    conv = Conv[Conv.CONV, spatial_dims]
    return [
        conv(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=norm is None),
        adn(spatial_dims, out_channels, act=None, norm=norm, ordering="N"),
    ]


def _level(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    blocks: int,
    attention: AttentionSpec,
    spatial_size: Sequence[int] | None,
    act: Any,
    norm: Any,
) -> nn.Sequential:
    """Build ``blocks`` residual blocks, each with its attention."""
    widths = [in_channels] + [out_channels] * (blocks - 1)
    gates = (get_attention_layer(attention, spatial_dims, out_channels, spatial_size) for _ in widths)
    return nn.Sequential(
        *(
            ResidualBlock(spatial_dims, width, out_channels, attention=gate, act=act, norm=norm)
            for width, gate in zip(widths, gates, strict=True)
        )
    )
