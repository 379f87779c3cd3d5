"""DeepLabV3+ with multi-level context attention, in 2D or 3D.

Paper: Attention Deeplabv3+: Multi-level Context Attention Mechanism for Skin Lesion Segmentation (Azad et al. 2020),
ECCV workshops; trunk and decoder are those of DeepLabV3+ (https://arxiv.org/abs/1802.02611). Differs from the authors'
code: any input size and number of classes, 3D, logits are returned and upsampled (not probabilities, and without
aligned corners), no layer of two rectified channels before the output, which can die, the trunk can be a ResNet, the
activation is an argument of all layers, image pooling without normalization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.utils.option_checks import check_group_positive, fill_options

from .backbones.trunk_factory import TrunkSpec
from .blocks.attention_pyramid import AttentionPyramid
from .blocks.convolution import ConvNormAct, act_layer, norm_layer
from .deeplab import RATES, DeepLabBase

ASPP_DEFAULTS: dict[str, Any] = {"rates": None, "channels": 256, "reduction": 8, "dropout": 0.5}
DECODER_DEFAULTS: dict[str, Any] = {"low_channels": 48, "channels": 256, "head_channels": 64}


class AttentionDeepLabV3Plus(DeepLabBase):
    """Trunk, attention pyramid, and a decoder with one skip connection; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"xception"``, ``"resnet"``, ``"efficientnet_lite0"`` to ``"efficientnet_lite4"``, or a pair of one of
            these and its options, such as ``("resnet", {"depth": 50})``; see :class:`bundle.networks.DeepLabV3Plus`.
        output_stride: size of the input divided by the size of the last feature of the trunk, 8 or 16.
        aspp: options of the pyramid: ``rates``, dilations (6, 12, 18 at output stride 16, twice that at 8);
            ``channels`` of every branch and of their mix (256); ``reduction``, ratio of the channels to the narrow
            layer of the shared gate (8); ``dropout``, probability of dropping a value in the dense blocks, or None
            (0.5).
        decoder: options of the decoder: ``low_channels``, channels that the low-level feature (stride 4) is reduced to
            (48); ``channels`` of its two separable convolutions (256); ``head_channels`` of the two convolutions of
            size 3 before the output (64).
        attention: mechanism after every feature of the trunk, in addition to the attention of the pyramid; see
            :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option of all layers.
        norm: MONAI normalization option of all layers that have one.
        dropout: probability of dropping a value after the pyramid, or None.

    Raises:
        ValueError: when an option is unknown.

    Examples:
        >>> trunk = ("resnet", {"depth": 18, "width": 0.125})
        >>> net = AttentionDeepLabV3Plus(2, 3, 1, trunk=trunk, aspp={"channels": 16}, decoder={"channels": 16})
        >>> net.eval()(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "xception",
        output_stride: int = 16,
        aspp: Mapping[str, Any] | None = None,
        decoder: Mapping[str, Any] | None = None,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = 0.1,
    ) -> None:
        adn = {"act": act, "norm": norm}
        pyramid, head = fill_options("aspp", aspp, ASPP_DEFAULTS), fill_options("decoder", decoder, DECODER_DEFAULTS)
        check_group_positive("aspp", pyramid, "channels")
        check_group_positive("decoder", head, *head)
        gates = {"attention": attention, "spatial_size": spatial_size}
        super().__init__(spatial_dims, in_channels, trunk=trunk, output_stride=output_stride, **gates, **adn)
        width = pyramid.pop("channels")
        if pyramid["rates"] is None:
            pyramid["rates"] = RATES[output_stride]
        self.pyramid = AttentionPyramid(spatial_dims, self.trunk.channels[-1], width, **pyramid, **adn)
        bare: dict[str, Any] = {"act": act, "norm": None}
        self.refine = nn.Sequential(
            ConvNormAct(spatial_dims, width, width, **bare),
            ConvNormAct(spatial_dims, width, width, **bare),
            norm_layer(norm, spatial_dims, width),
            act_layer(act),
        )
        self.dropout = nn.Identity() if dropout is None else nn.Dropout(dropout)
        self.add_decoder(spatial_dims, width, out_channels, separable=True, **head, **adn)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        """Run the pyramid and the two convolutions that refine it."""
        return self.dropout(self.refine(self.pyramid(x)))
