"""V-Net with an attention mechanism at every encoder and decoder level.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), with the
V-Net (Milletari et al., https://arxiv.org/abs/1606.04797) whose residual levels end in the attention block, before
both the skip connection and the strided convolution. Differs from the original code: any number of input channels,
sizes that 16 does not divide, and widths, depth and convolutions per level are arguments. It is not
``monai.networks.nets.VNet``, which is six times as large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer, is_skip_gate
from bundle.utils.option_checks import check_group_positive, check_level_channels, check_spatial_dims, fill_options
from bundle.utils.parse_null import parse_null

from .blocks.convolution import ConvADN, adn, conv_stack
from .blocks.unet_levels import Upsample, level_attention, level_sizes, skip_attention

LEVELS_DEFAULTS: dict[str, Any] = {"convs": (1, 2, 3, 3), "kernel_size": 5, "dropout": None, "adn_ordering": "ADN"}
BOTTLENECK_DEFAULTS: dict[str, Any] = {"convs": 1, "attention": "se"}


class ResidualLevel(nn.Module):
    """Convolutions, plus a shortcut, then activation and attention.

    The activation of the last convolution follows the addition.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of every convolution.
        shortcut_channels: channels of the shortcut; 1 is broadcast, ``out_channels`` is added unchanged, any other
            number passes a convolution of size 1.
        convs: number of convolutions.
        attention: attention block for ``out_channels``.
        options: arguments of :class:`bundle.networks.blocks.convolution.ConvADN`.
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
        levels: options of the layers of every level: ``convs``, number of convolutions of every level, the same in
            encoder and decoder ((1, 2, 3, 3)); ``kernel_size``, their odd size (5); ``dropout``, probability of
            dropping a channel after a convolution, or None (None); ``adn_ordering``, order of activation, dropout and
            normalization after a convolution ("ADN").
        attention: mechanism at the end of every level, see :func:`bundle.attention.get_attention_layer`; ``"ag"``
            weights the skip connections instead.
        bottleneck: options of the bottleneck: ``convs``, number of convolutions (1); ``attention``, mechanism at its
            end if the levels have one ("se").
        upsample_adn: activation and normalization also after the transposed convolutions, as in the original code.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option.
        deep_supervision: in training, return a list of logits: full size first, then those of the coarser decoder
            levels at their own sizes.

    Raises:
        ValueError: when there are fewer than two widths, ``convs`` does not fit them, or an option is unknown.

    Examples:
        >>> levels = {"convs": [1, 2], "kernel_size": 3}
        >>> net = AttentionVNet(3, 1, 3, channels=[4, 8, 16], levels=levels, attention="se")
        >>> net(torch.rand(1, 1, 16, 16, 20)).shape
        torch.Size([1, 3, 16, 16, 20])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        levels: Mapping[str, Any] | None = None,
        attention: AttentionSpec = "pam",
        bottleneck: Mapping[str, Any] | None = None,
        upsample_adn: bool = False,
        spatial_size: Sequence[int] | None = None,
        act: Any = "prelu",
        norm: Any = "instance",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_level_channels(channels)
        conv = {**fill_options("levels", levels, LEVELS_DEFAULTS), "act": act, "norm": norm}
        convs = _convs_per_level(conv.pop("convs"), len(channels) - 1)
        bottleneck = fill_options("bottleneck", bottleneck, BOTTLENECK_DEFAULTS)
        check_group_positive("bottleneck", bottleneck, "convs")
        sizes = level_sizes(spatial_size, len(convs))
        down = {**conv, "kernel_size": 2, "stride": 2}
        up_adn = {"act": act, "norm": norm, "dropout": conv["dropout"], "ordering": conv["adn_ordering"]}
        has_up_adn = upsample_adn and bool(up_adn["ordering"])
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.decoders, self.skips = nn.ModuleList(), nn.ModuleList()
        self.upsamples, self.upsample_adns, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

        for level in range(len(convs)):
            width, below = channels[level], channels[level + 1]
            source = width if level else in_channels
            gate = level_attention(attention, spatial_dims, width, sizes[level])
            shared = {"convs": convs[level], "attention": gate, **conv}
            self.encoders.append(ResidualLevel(spatial_dims, source, width, source, **shared))
            self.downs.append(ConvADN(spatial_dims, width, below, **down))
        width = channels[-1]
        plain = parse_null(attention) is None or is_skip_gate(attention)
        self.bottleneck = nn.Sequential(
            conv_stack(spatial_dims, width, width, width, convs=bottleneck["convs"], **conv),
            get_attention_layer(None if plain else bottleneck["attention"], spatial_dims, width),
        )
        for level in reversed(range(len(convs))):
            width, below = channels[level], channels[level + 1]
            gate = level_attention(attention, spatial_dims, width, sizes[level])
            shared = {"convs": convs[level], "attention": gate, **conv}
            self.skips.append(skip_attention(attention, spatial_dims, width, below, norm))
            self.upsamples.append(Upsample(spatial_dims, below, "deconv", out_channels=width))
            self.upsample_adns.append(adn(spatial_dims, width, **up_adn) if has_up_adn else nn.Identity())
            self.decoders.append(ResidualLevel(spatial_dims, 2 * width, width, width, **shared))
            supervised = level == 0 or deep_supervision
            self.heads.append(Conv[Conv.CONV, spatial_dims](width, out_channels, 1) if supervised else nn.Identity())
        self.deep_supervision = deep_supervision
        self.min_size = 2 ** len(convs)

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
        for decoder, gate, upsample, up_adn, head in zip(  # noqa: B905 - TorchScript
            self.decoders, self.skips, self.upsamples, self.upsample_adns, self.heads
        ):
            skip = gate(skips.pop(), x)
            x = up_adn(upsample(x, skip.shape[2:]))
            x = decoder(torch.cat([skip, x], dim=1), x)
            if (self.deep_supervision and self.training) or len(skips) == 0:
                logits.append(head(x))
        if self.deep_supervision and self.training:
            return logits[::-1]
        return logits[-1]


def _convs_per_level(convs: Sequence[int], levels: int) -> list[int]:
    """Check and return the number of convolutions of every level."""
    if len(convs) != levels or min(convs) < 1:
        raise ValueError(
            f"levels#convs needs a positive number for every width of channels except the last, {levels} in total, got "
            f"{list(convs)}."
        )
    return list(convs)
