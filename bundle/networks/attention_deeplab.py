"""DeepLabV3+ with multi-level context attention, in 2D or 3D.

Paper: Attention Deeplabv3+: Multi-level Context Attention Mechanism for Skin Lesion Segmentation (Azad et al. 2020),
ECCV workshops; trunk and decoder are those of DeepLabV3+ (https://arxiv.org/abs/1802.02611). Differs from the authors'
code: any input size and number of classes, 3D, logits are returned and upsampled (not probabilities, and without
aligned corners), the layer of two rectified channels before the output, which can die, is left out, the trunk can be a
ResNet, the activation is an argument that reaches every layer, image pooling without normalization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec

from .backbones.trunk_factory import TrunkSpec, get_trunk
from .blocks.attention_pyramid import AttentionPyramid
from .blocks.conv_adn import Upsample
from .blocks.conv_norm import ConvNormAct, SeparableConv, act_layer, norm_layer
from .deeplab import RATES


class AttentionDeepLabV3Plus(nn.Module):
    """Trunk, attention pyramid, and a decoder with one skip connection; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"xception"``, ``"resnet"``, or a pair of either and its own options, such as
            ``("resnet", {"depth": 50})``; see :class:`bundle.networks.DeepLabV3Plus`.
        output_stride: size of the input over that of the last feature of the trunk, 8 or 16.
        rates: dilations of the pyramid; by default 6, 12, 18 at output stride 16, twice that at 8.
        aspp_channels: channels of every branch of the pyramid and of their mix.
        low_channels: channels that the low-level feature (stride 4) is reduced to.
        decoder_channels: channels of the two separable convolutions of the decoder.
        head_channels: channels of the two convolutions of size 3 before the output.
        reduction: ratio of ``aspp_channels`` to the narrow layer of the shared gate.
        attention: mechanism behind every feature of the trunk, beside the attention of the pyramid; see
            :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        act: MONAI activation option of all layers.
        norm: MONAI normalization option of all layers that have one.
        dropout: probability of dropping a value behind the pyramid, or None.
        dense_dropout: that in the dense blocks of the pyramid, or None.

    Raises:
        ValueError: when an option is unknown.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "xception",
        output_stride: int = 16,
        rates: Sequence[int] | None = None,
        aspp_channels: int = 256,
        low_channels: int = 48,
        decoder_channels: int = 256,
        head_channels: int = 64,
        reduction: int = 8,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = 0.1,
        dense_dropout: float | None = 0.5,
    ) -> None:
        super().__init__()
        if output_stride not in RATES:
            raise ValueError(f"output_stride must be 8 or 16, got {output_stride}.")
        widths = {"aspp": aspp_channels, "low": low_channels, "decoder": decoder_channels, "head": head_channels}
        for name, width in widths.items():
            if width < 1:
                raise ValueError(f"{name}_channels must be at least 1, got {width}.")
        adn = {"act": act, "norm": norm}
        bare = {"act": act, "norm": None}
        gates = {"attention": attention, "spatial_size": spatial_size}
        shared = {"choice": ("resnet", "xception"), "output_stride": output_stride, **adn, **gates}
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, **shared)
        self.pyramid = AttentionPyramid(
            spatial_dims,
            self.trunk.channels[-1],
            aspp_channels,
            rates=RATES[output_stride] if rates is None else rates,
            reduction=reduction,
            dropout=dense_dropout,
            **adn,
        )
        self.refine = nn.Sequential(
            ConvNormAct(spatial_dims, aspp_channels, aspp_channels, **bare),
            ConvNormAct(spatial_dims, aspp_channels, aspp_channels, **bare),
            norm_layer(norm, spatial_dims, aspp_channels),
            act_layer(act),
        )
        self.dropout = nn.Identity() if dropout is None else nn.Dropout(dropout)
        self.low = ConvNormAct(spatial_dims, self.trunk.channels[1], low_channels, kernel_size=1, **adn)
        self.decoder = nn.Sequential(
            SeparableConv(spatial_dims, aspp_channels + low_channels, decoder_channels, **adn),
            SeparableConv(spatial_dims, decoder_channels, decoder_channels, **adn),
            ConvNormAct(spatial_dims, decoder_channels, head_channels, **bare),
            ConvNormAct(spatial_dims, head_channels, head_channels, **bare),
        )
        self.head = Conv[Conv.CONV, spatial_dims](head_channels, out_channels, 1)
        self.upsample = Upsample(spatial_dims, out_channels, "linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is shorter than ``output_stride``, or none is longer and the normalization
                is by instance.
        """
        features = self.trunk(x)
        low = self.low(features[1])
        context = self.dropout(self.refine(self.pyramid(features[4])))
        wide = self.upsample(context, low.shape[2:])
        logits = self.head(self.decoder(torch.cat([wide, low], dim=1)))
        return self.upsample(logits, x.shape[2:])
