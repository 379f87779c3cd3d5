"""DeepLabV3+ in 2D or 3D.

Paper: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (Chen et al. 2018),
https://arxiv.org/abs/1802.02611. Differs from it: any input size, 3D (there is no published 3D form), the activation
is an argument of all layers, image pooling without normalization (see :mod:`bundle.networks.blocks.aspp`), no
multi-grid in the last layer of the ResNet, and attention can follow every feature of the trunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_group_positive, fill_options

from .backbones.trunk_factory import LITE, TrunkSpec, get_trunk
from .blocks.aspp import ASPP
from .blocks.convolution import ConvNormAct, SeparableConv
from .blocks.unet_levels import Upsample

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
"""Dilations of the pyramid by output stride."""

ASPP_DEFAULTS: dict[str, Any] = {"rates": None, "channels": 256, "separable": False}
DECODER_DEFAULTS: dict[str, Any] = {"low_channels": 48, "channels": 256, "separable": False}


class DeepLabBase(nn.Module):
    """Trunk and decoder of DeepLabV3+; a subclass builds the layers between them and runs them in :meth:`context`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        trunk: as :class:`DeepLabV3Plus`.
        output_stride: as :class:`DeepLabV3Plus`.
        options: further keyword arguments of the trunk: ``attention``, ``spatial_size``, ``act`` and ``norm``.

    Raises:
        ValueError: when an option is unknown.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, *, trunk: TrunkSpec, output_stride: int, **options: Any
    ) -> None:
        super().__init__()
        check_choice("output_stride", output_stride, tuple(RATES))
        options |= {"choice": ("resnet", "xception", *LITE), "output_stride": output_stride}
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, **options)

    def add_decoder(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        low_channels: int,
        channels: int,
        separable: bool,
        head_channels: int | None = None,
        act: Any,
        norm: Any,
    ) -> None:
        """Build the decoder.

        Args:
            spatial_dims: 2 or 3.
            in_channels: channels of the context.
            out_channels: number of classes.
            low_channels: channels that the low-level feature (stride 4) is reduced to.
            channels: channels of the two convolutions of size 3.
            separable: whether those are depthwise separable.
            head_channels: channels of two further convolutions, without normalization; None for no such convolutions.
            act: MONAI activation option.
            norm: MONAI normalization option.
        """
        adn = {"act": act, "norm": norm}
        self.low = ConvNormAct(spatial_dims, self.trunk.channels[1], low_channels, kernel_size=1, **adn)
        conv = SeparableConv if separable else ConvNormAct
        self.decoder = nn.Sequential(
            conv(spatial_dims, in_channels + low_channels, channels, **adn),
            conv(spatial_dims, channels, channels, **adn),
        )
        for width in () if head_channels is None else (channels, head_channels):
            self.decoder.append(ConvNormAct(spatial_dims, width, head_channels or width, act=act, norm=None))
        self.head = Conv[Conv.CONV, spatial_dims](head_channels or channels, out_channels, 1)
        self.upsample = Upsample(spatial_dims, out_channels, "linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is shorter than ``output_stride``, or none is longer and the normalization
                is by instance.
        """
        features = self.trunk(x)
        low = self.low(features[1])
        wide = self.upsample(self.context(features[4]), low.shape[2:])
        logits = self.head(self.decoder(torch.cat([wide, low], dim=1)))
        return self.upsample(logits, x.shape[2:])

    def context(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the input of the decoder from the last feature of the trunk."""
        raise NotImplementedError


class DeepLabV3Plus(DeepLabBase):
    """Trunk, atrous spatial pyramid pooling, and a decoder with one skip connection; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"resnet"``, ``"xception"``, ``"efficientnet_lite0"`` to ``"efficientnet_lite4"``, or a pair of one of
            these and its options, such as ``("resnet", {"depth": 101})`` or
            ``("xception", {"middle_blocks": 8, "width": 0.5})``.
        output_stride: size of the input divided by the size of the last feature of the trunk, 8 or 16.
        aspp: options of the pyramid: ``rates``, dilations (6, 12, 18 at output stride 16, twice that at 8);
            ``channels`` of every branch (256); ``separable``, whether its convolutions of size 3 are depthwise
            separable (False).
        decoder: options of the decoder: ``low_channels``, channels that the low-level feature (stride 4) is reduced to
            (48); ``channels`` of its two convolutions (256); ``separable``, whether they are depthwise separable
            (False).
        attention: mechanism after every feature of the trunk, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option of all layers.
        norm: MONAI normalization option of all layers.
        dropout: probability of dropping a channel after the pyramid, or None.

    Raises:
        ValueError: when an option is unknown.

    Examples:
        >>> trunk = ("resnet", {"depth": 18, "width": 0.125})
        >>> net = DeepLabV3Plus(2, 3, 1, trunk=trunk, aspp={"channels": 16}, decoder={"channels": 16})
        >>> net.eval()(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "resnet",
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
        check_group_positive("decoder", head, "low_channels", "channels")
        gates = {"attention": attention, "spatial_size": spatial_size}
        super().__init__(spatial_dims, in_channels, trunk=trunk, output_stride=output_stride, **gates, **adn)
        rates = RATES[output_stride] if pyramid["rates"] is None else pyramid["rates"]
        options = {"rates": rates, "separable": pyramid["separable"], "dropout": dropout, **adn}
        self.aspp = ASPP(spatial_dims, self.trunk.channels[-1], pyramid["channels"], **options)
        self.add_decoder(spatial_dims, pyramid["channels"], out_channels, **head, **adn)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        """Run the pyramid."""
        return self.aspp(x)
