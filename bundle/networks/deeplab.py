"""DeepLabV3+ in 2D or 3D.

Paper: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (Chen et al. 2018),
https://arxiv.org/abs/1802.02611. Differs from it: any input size, 3D (there is no published 3D form), the activation
is an argument that reaches every layer, image pooling without normalization (see :mod:`bundle.networks.blocks.aspp`),
no multi-grid in the last layer of the ResNet, and attention can stand behind every feature of the trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec

from .backbones.trunk_factory import TrunkSpec, get_trunk
from .blocks.aspp import ASPP
from .blocks.conv_adn import Upsample
from .blocks.conv_norm import ConvNormAct, SeparableConv

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}


class DeepLabV3Plus(nn.Module):
    """Trunk, atrous spatial pyramid pooling, and a decoder with one skip connection; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"resnet"``, ``"xception"``, or a pair of either and its own options, such as
            ``("resnet", {"depth": 101})`` or ``("xception", {"middle_blocks": 8, "width": 0.5})``.
        output_stride: size of the input over that of the last feature of the trunk, 8 or 16.
        rates: dilations of the pyramid; by default 6, 12, 18 at output stride 16, twice that at 8.
        aspp_channels: channels of every branch of the pyramid.
        low_channels: channels that the low-level feature (stride 4) is reduced to.
        decoder_channels: channels of the two convolutions of the decoder.
        separable: whether the convolutions of size 3 in pyramid and decoder are depthwise separable.
        attention: mechanism behind every feature of the trunk, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        act: MONAI activation option of all layers.
        norm: MONAI normalization option of all layers.
        dropout: probability of dropping a channel behind the pyramid, or None.

    Raises:
        ValueError: when an option is unknown.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "resnet",
        output_stride: int = 16,
        rates: Sequence[int] | None = None,
        aspp_channels: int = 256,
        low_channels: int = 48,
        decoder_channels: int = 256,
        separable: bool = False,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = 0.1,
    ) -> None:
        super().__init__()
        if output_stride not in RATES:
            raise ValueError(f"output_stride must be 8 or 16, got {output_stride}.")
        _check_widths(aspp_channels=aspp_channels, low_channels=low_channels, decoder_channels=decoder_channels)
        adn = {"act": act, "norm": norm}
        gates = {"attention": attention, "spatial_size": spatial_size}
        shared = {"choice": ("resnet", "xception"), "output_stride": output_stride, **adn, **gates}
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, **shared)
        pyramid: dict[str, Any] = {"rates": RATES[output_stride] if rates is None else rates, "separable": separable}
        self.aspp = ASPP(spatial_dims, self.trunk.channels[-1], aspp_channels, dropout=dropout, **pyramid, **adn)
        self.low = ConvNormAct(spatial_dims, self.trunk.channels[1], low_channels, kernel_size=1, **adn)
        conv = SeparableConv if separable else ConvNormAct
        self.decoder = nn.Sequential(
            conv(spatial_dims, aspp_channels + low_channels, decoder_channels, **adn),
            conv(spatial_dims, decoder_channels, decoder_channels, **adn),
        )
        self.head = Conv[Conv.CONV, spatial_dims](decoder_channels, out_channels, 1)
        self.upsample = Upsample(spatial_dims, out_channels, "linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is shorter than ``output_stride``, or none is longer and the normalization
                is by instance.
        """
        features = self.trunk(x)
        low = self.low(features[1])
        wide = self.upsample(self.aspp(features[4]), low.shape[2:])
        logits = self.head(self.decoder(torch.cat([wide, low], dim=1)))
        return self.upsample(logits, x.shape[2:])


def _check_widths(**widths: int) -> None:
    for name, width in widths.items():
        if width < 1:
            raise ValueError(f"{name} must be at least 1, got {width}.")
