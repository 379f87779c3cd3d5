"""Blocks that several networks are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.blocks import ADN
from monai.networks.layers.factories import Conv
from torch import nn
from torch.nn import functional

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer, is_skip_gate, split_attention

from .norm import with_fast_instance_norm


class ConvADN(nn.Sequential):
    """Convolution, then activation, dropout and normalization in the order of ``adn_ordering``.

    At ``stride`` 1 the convolution keeps the size; at ``stride`` 2 and ``kernel_size`` 2 it halves it, rounding down.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, odd where ``stride`` is 1.
        stride: step of the kernel; above 1 there is no padding.
        act: MONAI activation option.
        norm: MONAI normalization option; "instance" runs through the group-norm kernel on a CPU.
        dropout: probability of dropping a channel, or None.
        adn_ordering: letters A, D, N in the order of their layers; "" for the convolution alone.

    Raises:
        ValueError: when ``kernel_size`` is not positive and odd at ``stride`` 1.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        act: Any = "prelu",
        norm: Any = "instance",
        dropout: float | None = None,
        adn_ordering: str = "ADN",
    ) -> None:
        if stride == 1 and (kernel_size < 1 or kernel_size % 2 == 0):
            raise ValueError(f"kernel_size must be positive and odd, got {kernel_size}.")
        padding = kernel_size // 2 if stride == 1 else 0
        conv = Conv[Conv.CONV, spatial_dims](in_channels, out_channels, kernel_size, stride=stride, padding=padding)
        layers = [conv, adn(spatial_dims, out_channels, act=act, norm=norm, dropout=dropout, ordering=adn_ordering)]
        super().__init__(*(layers if adn_ordering else layers[:1]))


class OrderedADN(ADN):
    """MONAI's activation-dropout-normalization block, safe to script in two orders in one process.

    TorchScript takes two blocks for one type where they have the same named modules, whatever their order, and runs the
    second in the order of the first (seen with torch 2.13). A constant that differs keeps the types apart.
    """

    __constants__ = ("ordering",)

    def __init__(self, ordering: str, **options: Any) -> None:
        super().__init__(ordering=ordering, **options)
        self.ordering = ordering


def adn(
    spatial_dims: int, channels: int, *, act: Any, norm: Any, dropout: float | None = None, ordering: str = "ADN"
) -> nn.Module:
    """Build MONAI's activation-dropout-normalization block with the fast instance normalization.

    ``["prelu", {"num_parameters": "channels"}]`` has one slope a channel, wherever in the network it stands.
    """
    return OrderedADN(
        ordering=ordering,
        in_channels=channels,
        act=_with_channels(act, channels),
        norm=with_fast_instance_norm(norm),
        norm_dim=spatial_dims,
        dropout=dropout,
        dropout_dim=spatial_dims,
    )


def _with_channels(act: Any, channels: int) -> Any:
    """Replace the value ``"channels"`` in the options of an activation by the number of channels."""
    if isinstance(act, (list, tuple)) and len(act) == 2 and isinstance(act[1], Mapping):
        return act[0], {key: channels if value == "channels" else value for key, value in act[1].items()}
    return act


def conv_stack(
    spatial_dims: int, in_channels: int, mid_channels: int, out_channels: int, *, convs: int, **options: Any
) -> nn.Sequential:
    """Build ``convs`` :class:`ConvADN` in a row, through ``mid_channels`` to ``out_channels``."""
    widths = [in_channels] + [mid_channels] * (convs - 1) + [out_channels]
    return nn.Sequential(*(ConvADN(spatial_dims, a, b, **options) for a, b in pairwise(widths)))


class Upsample(nn.Module):
    """Enlarge a map to the spatial size of another one.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the map.
        mode: ``"linear"`` (bi- or trilinear), ``"nearest"``, or ``"deconv"``, a transposed convolution of stride 2
            whose result is interpolated linearly where the other map has an odd size.
        out_channels: channels of the result of the transposed convolution; ``channels`` by default.

    Raises:
        ValueError: when ``mode`` is unknown, or is an interpolation and ``out_channels`` differs from ``channels``.
    """

    MODES = ("linear", "nearest", "deconv")

    def __init__(self, spatial_dims: int, channels: int, mode: str, out_channels: int | None = None) -> None:
        super().__init__()
        width = channels if out_channels is None else out_channels
        if mode not in self.MODES:
            raise ValueError(f"upsample must be one of {', '.join(self.MODES)}, got {mode!r}.")
        if mode != "deconv" and width != channels:
            raise ValueError(f"out_channels must be {channels} where upsample is {mode!r}, got {width}.")
        self.mode = "nearest" if mode == "nearest" else {2: "bilinear", 3: "trilinear"}[spatial_dims]
        deconv = Conv[Conv.CONVTRANS, spatial_dims]
        self.deconv = deconv(channels, width, 2, stride=2) if mode == "deconv" else nn.Identity()

    def forward(self, x: torch.Tensor, size: list[int]) -> torch.Tensor:
        """Return ``x`` ``(B, channels, ...)`` enlarged to the spatial size ``size``."""
        x = self.deconv(x)
        if list(x.shape[2:]) == list(size):
            return x
        if self.mode == "nearest":
            return functional.interpolate(x, size=size, mode="nearest")
        return functional.interpolate(x, size=size, mode=self.mode, align_corners=False)


class PlainSkip(nn.Module):
    """A skip connection that nothing weights; takes the place of an attention gate."""

    def forward(self, x: torch.Tensor, gating: torch.Tensor) -> torch.Tensor:
        """Return ``x``."""
        return x


def level_attention(
    attention: AttentionSpec, spatial_dims: int, channels: int, spatial_size: Sequence[int] | None
) -> nn.Module:
    """Build the attention at the end of a level: the identity for a mechanism that belongs on the skip connections."""
    return get_attention_layer(None if is_skip_gate(attention) else attention, spatial_dims, channels, spatial_size)


def skip_attention(
    attention: AttentionSpec, spatial_dims: int, channels: int, gating_channels: int, norm: Any
) -> nn.Module:
    """Build what weights a skip connection, ``forward(skip, coarser map)``: an attention gate, or :class:`PlainSkip`.

    Args:
        attention: mechanism of the network.
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the skip connection.
        gating_channels: channels of the coarser map.
        norm: MONAI normalization option of the network, which the gate takes unless its own options name one.
    """
    if attention is None or not is_skip_gate(attention):
        return PlainSkip()
    name, options = split_attention(attention)
    options = {"gating_channels": gating_channels, "norm": with_fast_instance_norm(norm), **options}
    return get_attention_layer((name, options), spatial_dims, channels)


def level_sizes(spatial_size: Sequence[int] | None, levels: int) -> list[list[int] | None]:
    """Return the spatial size at every level of an encoder that halves it, rounding down, from level to level."""
    if spatial_size is None:
        return [None] * levels
    return [[max(int(size) >> level, 1) for size in spatial_size] for level in range(levels)]
