"""U-Net on a ResNet whose output is weighted by the tokens of a transformer on image patches (TMUnet), in 2D or 3D.

Paper: Contextual Attention Network: Transformer Meets U-Net (Azad et al. 2022), https://arxiv.org/abs/2203.01932.
Differs from the authors' code: see :mod:`bundle.networks.blocks.patch_transformer` and
:mod:`bundle.networks.blocks.contextual_head`; any input size and number of classes, 3D, logits, the bridge (half of all
weights), trunk and widths are options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import torch
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.utils.option_checks import fill_options

from .backbones.trunk_factory import LITE, TrunkSpec, get_trunk
from .blocks.contextual_head import ContextualHead
from .blocks.convolution import conv_stack
from .blocks.patch_transformer import PatchTransformer
from .blocks.unet_levels import Upsample

DECODER_DEFAULTS: dict[str, Any] = {"channels": (1024, 512, 256, 128, 64), "bridge": True}
TRANSFORMER_DEFAULTS: dict[str, Any] = {"patch_size": 16, "channels": (128, 256, 512), "depth": 4, "heads": 8}
HEAD_DEFAULTS: dict[str, Any] = {"context_channels": 64, "boundary_channels": 32}


class ContextualAttentionUNet(nn.Module):
    """Trunk, decoder with five skip connections, and a head weighted by the tokens of the patches; returns logits.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        trunk: ``"resnet"``, ``"xception"``, ``"efficientnet_lite0"`` to ``"efficientnet_lite4"``, or a pair of one of
            these and its options, such as ``("resnet", {"depth": 34})``.
        decoder: options of the decoder: ``channels`` of its five levels, from the coarsest
            ((1024, 512, 256, 128, 64)); ``bridge``, whether there are two convolutions at the coarsest level between
            trunk and decoder (True).
        transformer: options of the transformer on the patches: ``patch_size``, edge of a patch in voxels (16);
            ``channels`` of the stages of the CNN on the patches, the last is the width of the tokens
            ((128, 256, 512)); ``depth``, number of blocks (4); ``heads`` of the attention (8).
        head: options of the output: ``context_channels``, channels of the global representation (64);
            ``boundary_channels``, channels of the hidden layer of the boundary map (32).
        attention: mechanism that scales the last feature of the decoder, see
            :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch, 256 per side if it is None. The positions of the tokens are
            made for it, and the slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option.
        auxiliary: in training, return a list of logits: the mask, the boundary ``(B, 1, ...)``, and the regions
            ``(B, 1, ...)`` at one voxel per patch; :class:`bundle.losses.ContextualLoss` takes it.

    Raises:
        ValueError: when an option is unknown or out of range.

    Examples:
        >>> net = ContextualAttentionUNet(
        ...     2,
        ...     3,
        ...     1,
        ...     trunk=("resnet", {"depth": 18, "width": 0.125}),
        ...     decoder={"channels": [16, 16, 8, 8, 8]},
        ...     transformer={"channels": [4, 8], "depth": 1, "heads": 2},
        ...     attention=("se", {"reduction": 4}),
        ... )
        >>> net.eval()(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 1, 64, 64])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        trunk: TrunkSpec = "resnet",
        decoder: Mapping[str, Any] | None = None,
        transformer: Mapping[str, Any] | None = None,
        head: Mapping[str, Any] | None = None,
        attention: AttentionSpec = ("se", {"reduction": 16}),
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        decoder = fill_options("decoder", decoder, DECODER_DEFAULTS)
        transformer = fill_options("transformer", transformer, TRANSFORMER_DEFAULTS)
        head = fill_options("head", head, HEAD_DEFAULTS)
        channels = decoder["channels"]
        if len(channels) != 5 or min(channels) < 1:
            raise ValueError(f"decoder#channels needs five positive widths, one per level, got {list(channels)}.")
        adn: dict[str, Any] = {"act": act, "norm": norm}
        plain: dict[str, Any] = {"choice": ("resnet", "xception", *LITE), "attention": None, "spatial_size": None}
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, output_stride=32, **plain, **adn)
        deepest = self.trunk.channels[-1]
        stack: dict[str, Any] = {"convs": 2, "adn_ordering": "NDA", **adn}
        self.bridge = (
            conv_stack(spatial_dims, deepest, deepest, deepest, **stack) if decoder["bridge"] else nn.Identity()
        )
        self.upsamples, self.decoders = nn.ModuleList(), nn.ModuleList()
        below = deepest
        for width, skip in zip(channels, [*self.trunk.channels[-2::-1], in_channels], strict=True):
            self.upsamples.append(Upsample(spatial_dims, below, "deconv", width))
            self.decoders.append(conv_stack(spatial_dims, width + skip, width, width, **stack))
            below = width
        size = [256] * spatial_dims if spatial_size is None else spatial_size
        self.transformer = PatchTransformer(spatial_dims, in_channels, spatial_size=size, **transformer, **adn)
        head |= {"token_width": self.transformer.width, "patch_size": transformer["patch_size"]}
        gates: dict[str, Any] = {"attention": attention, "spatial_size": spatial_size}
        self.head = ContextualHead(spatial_dims, below, out_channels, **head, **gates, **adn)
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
