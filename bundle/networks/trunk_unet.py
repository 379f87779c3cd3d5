"""U-Net whose encoder is a trunk, in 2D or 3D.

Paper: U-Net: Convolutional Networks for Biomedical Image Segmentation (Ronneberger et al. 2015),
https://arxiv.org/abs/1505.04597. Differs from it: the encoder is a trunk, whose weights may be pretrained
(:func:`bundle.networks.load_pretrained`); normalization; any input size; the decoder ends at stride 2, where a
trunk has its finest feature, and the logits are enlarged from there; attention can follow every feature of the trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Dropout
from torch import nn

from bundle.attention.attention_factory import AttentionSpec

from .backbones.trunk_factory import TrunkSpec, get_trunk
from .blocks.convolution import ConvNormAct
from .blocks.unet_levels import Upsample


class TrunkUNet(nn.Module):
    """Trunk and decoder with four skip connections; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"efficientnet_lite0"`` to ``"efficientnet_lite4"``, ``"resnet"``, ``"vgg"``, ``"xception"``, or a pair
            of one of these and its options, such as ``("resnet", {"depth": 34})``.
        channels: channels of the four levels of the decoder, from the coarsest.
        attention: mechanism after every feature of the trunk, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option of the decoder, and of the trunk except for EfficientNet-Lite.
        norm: MONAI normalization option, as ``act``.
        dropout: probability of dropping a channel before the output, or None.

    Raises:
        ValueError: when an option is unknown or out of range.

    Examples:
        >>> net = TrunkUNet(2, 3, 1, trunk=("efficientnet_lite0", {"width": 0.25}), channels=(16, 16, 8, 8))
        >>> net.eval()(torch.rand(1, 3, 64, 50)).shape
        torch.Size([1, 1, 64, 50])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "efficientnet_lite0",
        channels: Sequence[int] = (128, 64, 48, 32),
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        if len(channels) != 4 or min(channels) < 1:
            raise ValueError(
                f"channels needs four positive widths, one per level of the decoder, got {list(channels)}."
            )
        adn: dict[str, Any] = {"act": act, "norm": norm}
        gates: dict[str, Any] = {"attention": attention, "spatial_size": spatial_size}
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, output_stride=32, **gates, **adn)
        self.upsamples, self.decoders = nn.ModuleList(), nn.ModuleList()
        below = self.trunk.channels[-1]
        for width, skip in zip(channels, self.trunk.channels[-2::-1], strict=True):
            self.upsamples.append(Upsample(spatial_dims, below, "linear"))
            self.decoders.append(
                nn.Sequential(
                    ConvNormAct(spatial_dims, below + skip, width, **adn),
                    ConvNormAct(spatial_dims, width, width, **adn),
                )
            )
            below = width
        self.dropout = nn.Identity() if dropout is None else Dropout[Dropout.DROPOUT, spatial_dims](dropout)
        self.head = Conv[Conv.CONV, spatial_dims](below, out_channels, 1)
        self.upsample = Upsample(spatial_dims, out_channels, "linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is shorter than 32, or none is longer and the normalization is by instance.
        """
        skips = self.trunk(x)
        feature = skips.pop()
        for upsample, decoder in zip(self.upsamples, self.decoders):  # noqa: B905 - TorchScript
            skip = skips.pop()
            feature = decoder(torch.cat([skip, upsample(feature, skip.shape[2:])], dim=1))
        return self.upsample(self.head(self.dropout(feature)), x.shape[2:])
