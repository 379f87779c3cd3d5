"""U-Net with an attention mechanism at every encoder and decoder level.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), where the
levels of the 3D U-Net (Cicek et al., https://arxiv.org/abs/1606.06650) end in the attention block. Levels,
convolutions per level, normalization, activation and upsampling are arguments. The published tables compare
mechanisms with *different* upsampling; here it is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Union

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.utils.option_checks import check_group_positive, check_level_channels, check_spatial_dims, fill_options

from .blocks.convolution import conv_stack
from .blocks.fused import FusedLevel
from .blocks.unet_levels import Upsample, level_attention, level_strides, skip_attention, strided_sizes

LEVELS_DEFAULTS: dict[str, Any] = {
    "convs": 2,
    "kernel_size": 3,
    "dropout": None,
    "adn_ordering": "ADN",
    "strides": None,
}
DECODER_DEFAULTS: dict[str, Any] = {"attention": "same", "upsample": "linear"}


class AttentionUNet(nn.Module):
    """U-Net in 2D or 3D; returns logits in training and in evaluation.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        channels: channels of every level, from the finest; its length is the number of levels.
        levels: options of the layers of every level: ``convs``, number of convolutions (2); ``kernel_size``, their odd
            size (3); ``dropout``, probability of dropping a channel after a convolution, or None (None);
            ``adn_ordering``, order of activation, dropout and normalization after a convolution ("ADN"); ``strides``,
            steps between the levels, one number or one per axis each, such as ``[[2, 2, 1], 2]`` for thick slices (2).
        attention: mechanism at the end of every level, see :func:`bundle.attention.get_attention_layer`; ``"ag"``
            weights the skip connections instead.
        decoder: options of the decoder alone: ``attention``, mechanism of its levels ("same" as ``attention``);
            ``upsample``, ``"linear"``, ``"nearest"`` or ``"deconv"`` ("linear").
        fused: run the last normalization of a level and its slice attention in one step, see
            :mod:`bundle.networks.blocks.fused`; the numbers and the weights are the same.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option.
        deep_supervision: in training, return a list of logits: full size first, then those of the coarser decoder
            levels at their own sizes.

    Raises:
        ValueError: when there are fewer than two levels, no convolution, or an option is unknown.

    Examples:
        >>> net = AttentionUNet(3, 1, 3, channels=[8, 16], attention="pam", spatial_size=[16, 16, 16])
        >>> net(torch.rand(1, 1, 16, 16, 20)).shape
        torch.Size([1, 3, 16, 16, 20])
        >>> net = AttentionUNet(2, 3, 1, channels=[8, 16], attention=("se", {"reduction": 4}), levels={"convs": 1})
        >>> net(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (16, 32, 64, 128),
        levels: Mapping[str, Any] | None = None,
        attention: AttentionSpec = "pam",
        decoder: Mapping[str, Any] | None = None,
        fused: bool = False,
        spatial_size: Sequence[int] | None = None,
        act: Any = "prelu",
        norm: Any = "instance",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_level_channels(channels)
        level_options = fill_options("levels", levels, LEVELS_DEFAULTS)
        strides = level_strides(level_options.pop("strides"), spatial_dims, len(channels))
        stack_options = {**level_options, "act": act, "norm": norm}
        check_group_positive("levels", stack_options, "convs")
        decoder = fill_options("decoder", decoder, DECODER_DEFAULTS)
        decoder_attention = attention if decoder["attention"] == "same" else decoder["attention"]
        level_kind = FusedLevel if fused else nn.Sequential
        sizes = strided_sizes(spatial_size, strides)
        pools = [Pool[Pool.MAX, spatial_dims](kernel_size=stride) for stride in strides]
        self.pools = nn.ModuleList([nn.Identity(), *pools])
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        self.skips, self.upsamples, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

        for level, width in enumerate(channels):
            below = channels[level - 1] if level else in_channels
            stack = conv_stack(spatial_dims, below, max(width // 2, below), width, **stack_options)
            gate = level_attention(attention, spatial_dims, width, sizes[level])
            self.encoders.append(level_kind(stack, gate))
        for level in reversed(range(len(channels) - 1)):
            width, below = channels[level], channels[level + 1]
            stack = conv_stack(spatial_dims, width + below, width, width, **stack_options)
            gate = level_attention(decoder_attention, spatial_dims, width, sizes[level])
            self.decoders.append(level_kind(stack, gate))
            self.skips.append(skip_attention(decoder_attention, spatial_dims, width, below, norm))
            self.upsamples.append(Upsample(spatial_dims, below, decoder["upsample"], stride=strides[level]))
            supervised = level == 0 or deep_supervision
            self.heads.append(Conv[Conv.CONV, spatial_dims](width, out_channels, 1) if supervised else nn.Identity())
        self.deep_supervision = deep_supervision
        self.min_size = [math.prod(steps) for steps in zip(*strides, strict=True)]

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, list[torch.Tensor]]:  # noqa: UP007 - TorchScript reads it
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        With ``deep_supervision``, training returns a list of them, finest first.

        Raises:
            ValueError: when a spatial axis is shorter than the product of its strides, so that it would vanish.
        """
        for size, least in zip(list(x.shape[2:]), self.min_size):  # noqa: B905 - TorchScript
            if size < least and min(self.min_size) == max(self.min_size):
                raise ValueError(f"every spatial axis needs at least {least} voxels, got {list(x.shape[2:])}.")
            if size < least:
                raise ValueError(f"the spatial axes need at least {self.min_size} voxels, got {list(x.shape[2:])}.")
        skips: list[torch.Tensor] = []
        for pool, encoder in zip(self.pools, self.encoders):  # noqa: B905 - TorchScript
            x = encoder(pool(x))
            skips.append(x)
        skips.pop()
        logits: list[torch.Tensor] = []
        for decoder, gate, upsample, head in zip(self.decoders, self.skips, self.upsamples, self.heads):  # noqa: B905 - TorchScript
            skip = gate(skips.pop(), x)
            x = decoder(torch.cat([skip, upsample(x, skip.shape[2:])], dim=1))
            if (self.deep_supervision and self.training) or len(skips) == 0:
                logits.append(head(x))
        if self.deep_supervision and self.training:
            return logits[::-1]
        return logits[-1]
