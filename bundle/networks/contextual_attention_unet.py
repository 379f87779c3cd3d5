"""U-Net on a ResNet whose output is weighted by what a transformer knows of the patches (TMUnet), in 2D or 3D.

Paper: Contextual Attention Network: Transformer Meets U-Net (Azad et al. 2022), https://arxiv.org/abs/2203.01932.
Differs from the authors' code: see :mod:`bundle.networks.blocks.patch_transformer` and
:mod:`bundle.networks.blocks.contextual_head`; any input size and number of classes, 3D, logits, the bridge (half of all
weights) is an option, and so are trunk and widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import torch
from torch import nn

from bundle.attention.attention_factory import AttentionSpec

from .backbones.trunk_factory import TrunkSpec, get_trunk
from .blocks.contextual_head import ContextualHead
from .blocks.conv_adn import Upsample, conv_stack
from .blocks.patch_transformer import PatchTransformer


class ContextualAttentionUNet(nn.Module):
    """Trunk, decoder with five skip connections, and a head that the tokens of the patches weight; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"resnet"``, ``"xception"``, or a pair of either and its own options, such as
            ``("resnet", {"depth": 34})``.
        bridge: whether two convolutions at the coarsest level stand between trunk and decoder.
        channels: channels of the five levels of the decoder, from the coarsest.
        patch_size: edge of a patch in voxels.
        patch_channels: channels of the stages of the CNN on the patches; the last is the width of the tokens.
        depth: blocks of the transformer.
        heads: heads of its attention.
        context_channels: channels of the global representation.
        boundary_channels: channels of the hidden layer of the boundary map.
        attention: mechanism that scales the last feature of the decoder, see
            :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch, 256 a side where it is None. The positions of the tokens are
            made for it, and the slice mechanisms need it; it limits no input.
        act: MONAI activation option.
        norm: MONAI normalization option.
        auxiliary: in training, return a list of logits: the mask, the boundary ``(B, 1, ...)``, and the regions
            ``(B, 1, ...)`` at one voxel a patch; :class:`bundle.losses.ContextualLoss` takes it.

    Raises:
        ValueError: when an option is unknown or out of range.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "resnet",
        bridge: bool = True,
        channels: Sequence[int] = (1024, 512, 256, 128, 64),
        patch_size: int = 16,
        patch_channels: Sequence[int] = (128, 256, 512),
        depth: int = 4,
        heads: int = 8,
        context_channels: int = 64,
        boundary_channels: int = 32,
        attention: AttentionSpec = ("se", {"reduction": 16}),
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        if len(channels) != 5 or min(channels) < 1:
            raise ValueError(f"channels needs five positive widths, one a level, got {list(channels)}.")
        adn: dict[str, Any] = {"act": act, "norm": norm}
        plain: dict[str, Any] = {"choice": ("resnet", "xception"), "attention": None, "spatial_size": None}
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, output_stride=32, **plain, **adn)
        deepest = self.trunk.channels[-1]
        stack: dict[str, Any] = {"convs": 2, "adn_ordering": "NDA", **adn}
        self.bridge = conv_stack(spatial_dims, deepest, deepest, deepest, **stack) if bridge else nn.Identity()
        self.upsamples, self.decoders = nn.ModuleList(), nn.ModuleList()
        below = deepest
        for width, skip in zip(channels, [*self.trunk.channels[-2::-1], in_channels], strict=True):
            self.upsamples.append(Upsample(spatial_dims, below, "deconv", width))
            self.decoders.append(conv_stack(spatial_dims, width + skip, width, width, **stack))
            below = width
        size = [256] * spatial_dims if spatial_size is None else spatial_size
        tokens: dict[str, Any] = {"channels": patch_channels, "depth": depth, "heads": heads, **adn}
        self.transformer = PatchTransformer(
            spatial_dims, in_channels, patch_size=patch_size, spatial_size=size, **tokens
        )
        self.head = ContextualHead(
            spatial_dims,
            below,
            out_channels,
            token_width=patch_channels[-1],
            patch_size=patch_size,
            context_channels=context_channels,
            boundary_channels=boundary_channels,
            attention=attention,
            spatial_size=spatial_size,
            **adn,
        )
        self.auxiliary = auxiliary

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, list[torch.Tensor]]:  # noqa: UP007 - TorchScript reads it
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        With ``auxiliary``, training returns the logits of mask, boundary and regions.

        Raises:
            ValueError: when a spatial axis is shorter than 32, or none is longer and the normalization is by instance.
        """
        skips = self.trunk(x)
        feature = self.bridge(skips.pop())
        skips = [x] + skips  # noqa: RUF005 - TorchScript
        for upsample, decoder in zip(self.upsamples, self.decoders):  # noqa: B905 - TorchScript
            skip = skips.pop()
            feature = decoder(torch.cat([skip, upsample(feature, skip.shape[2:])], dim=1))
        mask, boundary, regions = self.head(feature, self.transformer(x))
        if self.auxiliary and self.training:
            return [mask, boundary, regions]
        return mask
