"""V-Net with an attention mechanism at every encoder and decoder level.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), with the
V-Net (Milletari et al., https://arxiv.org/abs/1606.04797) whose residual levels end in the attention block, before
both the skip connection and the strided convolution. Differs from the original code: any number of input channels,
sizes that 16 does not divide, and widths, depth and convolutions per level are arguments. It is not
``monai.networks.nets.VNet``, which is six times as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer, is_skip_gate

from .blocks.conv_adn import ConvADN, Upsample, adn, conv_stack, level_attention, level_sizes, skip_attention


class ResidualLevel(nn.Module):
    """Convolutions, plus a shortcut, then activation and attention.

    The last convolution has no activation of its own: it follows the addition.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of every convolution.
        shortcut_channels: channels of the shortcut; 1 is broadcast, ``out_channels`` is added as it is, any other
            number goes through a convolution of size 1.
        convs: number of convolutions.
        attention: attention block for ``out_channels``.
        options: arguments of :class:`bundle.networks.blocks.conv_adn.ConvADN`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        shortcut_channels: int,
        *,
        convs: int,
        attention: nn.Module,
        **options: Any,
    ) -> None:
        super().__init__()
        last = {**options, "adn_ordering": options["adn_ordering"].upper().replace("A", "")}
        widths = [in_channels] + [out_channels] * (convs - 1)
        self.convs = nn.Sequential(
            *(ConvADN(spatial_dims, width, out_channels, **options) for width in widths[:-1]),
            ConvADN(spatial_dims, widths[-1], out_channels, **last),
        )
        project = shortcut_channels not in (1, out_channels)
        self.shortcut = Conv[Conv.CONV, spatial_dims](shortcut_channels, out_channels, 1) if project else nn.Identity()
        self.act = adn(spatial_dims, out_channels, act=options["act"], norm=None, ordering="A")
        self.attention = attention

    def forward(self, x: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """Return ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)`` and its shortcut, of the same size."""
        return self.attention(self.act(self.convs(x) + self.shortcut(shortcut)))


class AttentionVNet(nn.Module):
    """V-Net in 2D or 3D; returns logits in training and in evaluation.

    With an attention mechanism on its levels, whichever it is, the bottleneck ends in
    :class:`bundle.attention.SqueezeExcitation`: the original has the plain channel attention there, because few slices
    are left to weight.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        channels: channels of every level, from the finest, then those of the bottleneck.
        convs: convolutions of every level; the decoder level has as many as the encoder level.
        bottleneck_convs: convolutions of the bottleneck.
        kernel_size: odd size of their kernels.
        attention: mechanism at the end of every level, see :func:`bundle.attention.get_attention_layer`; ``"ag"``
            weights the skip connections instead.
        bottleneck_attention: mechanism at the end of the bottleneck, where the levels have one.
        upsample_adn: activation and normalization behind the transposed convolutions too, as in the original code.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        act: MONAI activation option.
        norm: MONAI normalization option.
        dropout: probability of dropping a channel after a convolution, or None.
        adn_ordering: order of activation, dropout and normalization behind a convolution.
        deep_supervision: in training, return a list of logits: full size first, then those of the coarser decoder
            levels at their own sizes.

    Raises:
        ValueError: when there are fewer than two widths, ``convs`` does not fit them, or an option is unknown.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        convs: Sequence[int] = (1, 2, 3, 3),
        bottleneck_convs: int = 1,
        kernel_size: int = 5,
        attention: AttentionSpec = "pam",
        bottleneck_attention: AttentionSpec = "se",
        upsample_adn: bool = False,
        spatial_size: Sequence[int] | None = None,
        act: Any = "prelu",
        norm: Any = "instance",
        dropout: float | None = None,
        adn_ordering: str = "ADN",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        _check(spatial_dims, channels, convs, bottleneck_convs)
        levels = len(channels) - 1
        sizes = level_sizes(spatial_size, levels)
        conv = {"kernel_size": kernel_size, "act": act, "norm": norm, "dropout": dropout, "adn_ordering": adn_ordering}
        down = {**conv, "kernel_size": 2, "stride": 2}
        behind = {"act": act, "norm": norm, "dropout": dropout, "ordering": adn_ordering if upsample_adn else ""}
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.decoders, self.skips = nn.ModuleList(), nn.ModuleList()
        self.upsamples, self.upsample_adns, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

        for level in range(levels):
            width, below = channels[level], channels[level + 1]
            source = width if level else in_channels
            gate = level_attention(attention, spatial_dims, width, sizes[level])
            shared = {"convs": convs[level], "attention": gate, **conv}
            self.encoders.append(ResidualLevel(spatial_dims, source, width, source, **shared))
            self.downs.append(ConvADN(spatial_dims, width, below, **down))
        width = channels[-1]
        plain = attention is None or is_skip_gate(attention)
        self.bottleneck = nn.Sequential(
            conv_stack(spatial_dims, width, width, width, convs=bottleneck_convs, **conv),
            get_attention_layer(None if plain else bottleneck_attention, spatial_dims, width),
        )
        for level in reversed(range(levels)):
            width, below = channels[level], channels[level + 1]
            gate = level_attention(attention, spatial_dims, width, sizes[level])
            shared = {"convs": convs[level], "attention": gate, **conv}
            self.skips.append(skip_attention(attention, spatial_dims, width, below, norm))
            self.upsamples.append(Upsample(spatial_dims, below, "deconv", out_channels=width))
            self.upsample_adns.append(adn(spatial_dims, width, **behind) if behind["ordering"] else nn.Identity())
            self.decoders.append(ResidualLevel(spatial_dims, 2 * width, width, width, **shared))
            supervised = level == 0 or deep_supervision
            self.heads.append(Conv[Conv.CONV, spatial_dims](width, out_channels, 1) if supervised else nn.Identity())
        self.deep_supervision = deep_supervision
        self.min_size = 2**levels

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, list[torch.Tensor]]:  # noqa: UP007 - TorchScript reads it
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        With ``deep_supervision``, training returns a list of them, finest first.

        Raises:
            ValueError: when a spatial axis is shorter than ``2 ** (len(channels) - 1)``, so that it would vanish.
        """
        if min(list(x.shape[2:])) < self.min_size:
            raise ValueError(f"every spatial axis needs at least {self.min_size} voxels, got {list(x.shape[2:])}.")
        skips: list[torch.Tensor] = []
        for encoder, down in zip(self.encoders, self.downs):  # noqa: B905 - TorchScript
            x = encoder(x, x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        logits: list[torch.Tensor] = []
        for decoder, gate, upsample, behind, head in zip(  # noqa: B905 - TorchScript
            self.decoders, self.skips, self.upsamples, self.upsample_adns, self.heads
        ):
            skip = gate(skips.pop(), x)
            x = behind(upsample(x, skip.shape[2:]))
            x = decoder(torch.cat([skip, x], dim=1), x)
            if (self.deep_supervision and self.training) or len(skips) == 0:
                logits.append(head(x))
        if self.deep_supervision and self.training:
            return logits[::-1]
        return logits[-1]


def _check(spatial_dims: int, channels: Sequence[int], convs: Sequence[int], bottleneck_convs: int) -> None:
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}.")
    if len(channels) < 2 or min(channels) < 1:
        raise ValueError(f"channels needs two positive widths or more, one a level, got {list(channels)}.")
    if len(convs) != len(channels) - 1 or min(convs) < 1:
        raise ValueError(
            f"convs needs a positive number for every width of channels but the last, {len(channels) - 1} in all, got "
            f"{list(convs)}."
        )
    if bottleneck_convs < 1:
        raise ValueError(f"bottleneck_convs must be at least 1, got {bottleneck_convs}.")
