"""Output of the contextual attention network, from a decoder feature and the tokens of the patches.

Paper: Contextual Attention Network: Transformer Meets U-Net (Azad et al. 2022), https://arxiv.org/abs/2203.01932.
Differs from the authors' code: the attention scales the feature (theirs passes on the gates alone, so that the feature
reaches the mask through the boundary only), tokens are placed on their own patches, the global representation is
computed per patch and not per voxel, the mechanism of the attention is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer
from bundle.utils.option_checks import check_positive

from .convolution import ConvADN
from .patch_transformer import paint


class ContextualHead(nn.Module):
    """Mask, boundary and regions from the finest feature and the tokens of the patches.

    With a feature f, a boundary map b = boundary(f), region coefficients r = mean over the width of the tokens and the
    global representation g = sigmoid(norm(conv(tokens))), the mask is ``conv([(attention(f) + sigmoid(b)) sigmoid(r),
    g])``, r and g painted over their patches.

    Args:
        spatial_dims: 2 or 3.
        channels: channels of the feature.
        out_channels: number of classes.
        token_width: width of the tokens.
        patch_size: edge of a patch in voxels.
        context_channels: channels of the global representation.
        boundary_channels: channels of the hidden layer of the boundary map.
        attention: mechanism that scales the feature, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch, for the slice mechanisms.
        act: MONAI activation option.
        norm: MONAI normalization option.

    Raises:
        ValueError: when a width is not positive.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        out_channels: int,
        *,
        token_width: int,
        patch_size: int,
        context_channels: int = 64,
        boundary_channels: int = 32,
        attention: AttentionSpec = ("se", {"reduction": 16}),
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        check_positive(context_channels=context_channels, boundary_channels=boundary_channels)
        conv = Conv[Conv.CONV, spatial_dims]
        self.patch_size = patch_size
        self.boundary = nn.Sequential(
            ConvADN(spatial_dims, channels, boundary_channels, kernel_size=1, act=act, norm=norm, adn_ordering="NDA"),
            conv(boundary_channels, 1, 1, bias=False),
        )
        self.context = ConvADN(spatial_dims, token_width, context_channels, kernel_size=1, norm=norm, adn_ordering="N")
        self.attention = get_attention_layer(attention, spatial_dims, channels, spatial_size)
        self.mask = conv(channels + context_channels, out_channels, 1)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the logits of the mask, of the boundary and of the regions.

        Args:
            x: feature ``(B, channels, ...)``.
            tokens: ``(B, token_width, ...)``, one per patch of the feature.

        Returns:
            Logits ``(B, out_channels, ...)`` and ``(B, 1, ...)`` of the size of ``x``, ``(B, 1, ...)`` of that of
            ``tokens``.
        """
        size: list[int] = list(x.shape[2:])
        boundary = self.boundary(x)
        regions = tokens.mean(1, keepdim=True)
        coefficients = paint(torch.sigmoid(regions), self.patch_size, size)
        context = paint(torch.sigmoid(self.context(tokens)), self.patch_size, size)
        weighted = (self.attention(x) + torch.sigmoid(boundary)) * coefficients
        return self.mask(torch.cat([weighted, context], dim=1)), boundary, regions
