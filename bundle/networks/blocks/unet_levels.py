"""Parts of the levels of a U-Net: upsampling, attention at their end or on their skip connection, their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from monai.networks.layers.factories import Conv
from torch import nn
from torch.nn import functional

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer, is_skip_gate, split_attention
from bundle.utils.check_choice import check_choice

from .norm import with_fast_instance_norm

UpsampleMode = Literal["linear", "nearest", "deconv"]


class Upsample(nn.Module):
    """Enlarge a map to the spatial size of another one.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the map.
        mode: ``"linear"`` (bi- or trilinear), ``"nearest"``, or ``"deconv"``, a transposed convolution of the stride
            whose result is interpolated linearly if the other map has an odd size.
        out_channels: channels of the result of the transposed convolution; ``channels`` by default.
        stride: stride of the transposed convolution per axis; 2 along all by default.

    Raises:
        ValueError: when ``mode`` is unknown, or is an interpolation and ``out_channels`` differs from ``channels``.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        mode: UpsampleMode,
        out_channels: int | None = None,
        *,
        stride: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        width = channels if out_channels is None else out_channels
        check_choice("upsample", mode, get_args(UpsampleMode))
        if mode != "deconv" and width != channels:
            raise ValueError(f"out_channels must be {channels} if upsample is {mode!r}, got {width}.")
        self.mode = "nearest" if mode == "nearest" else {2: "bilinear", 3: "trilinear"}[spatial_dims]
        deconv = Conv[Conv.CONVTRANS, spatial_dims]
        step: Any = 2 if stride is None else tuple(stride)
        self.deconv = deconv(channels, width, step, stride=step) if mode == "deconv" else nn.Identity()

    def forward(self, x: torch.Tensor, size: list[int]) -> torch.Tensor:
        """Return ``x`` ``(B, channels, ...)`` enlarged to the spatial size ``size``."""
        x = self.deconv(x)
        if list(x.shape[2:]) == list(size):
            return x
        if self.mode == "nearest":
            return functional.interpolate(x, size=size, mode="nearest")
        return functional.interpolate(x, size=size, mode=self.mode, align_corners=False)


class PlainSkip(nn.Module):
    """A skip connection without weights, in place of an attention gate."""

    def forward(self, x: torch.Tensor, gating: torch.Tensor) -> torch.Tensor:
        """Return ``x``."""
        return x


def level_attention(
    attention: AttentionSpec, spatial_dims: int, channels: int, spatial_size: Sequence[int] | None
) -> nn.Module:
    """Build the attention at the end of a level: the identity for a mechanism that weights the skip connections."""
    return get_attention_layer(None if is_skip_gate(attention) else attention, spatial_dims, channels, spatial_size)


def skip_attention(
    attention: AttentionSpec, spatial_dims: int, channels: int, gating_channels: int, norm: Any
) -> nn.Module:
    """Build the module of a skip connection, ``forward(skip, coarser map)``: an attention gate or :class:`PlainSkip`.

    Args:
        attention: mechanism of the network.
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the skip connection.
        gating_channels: channels of the coarser map.
        norm: MONAI normalization option of the network, for gates whose options do not name one.
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
    return strided_sizes(spatial_size, [[2] * len(spatial_size)] * (levels - 1))


def strided_sizes(spatial_size: Sequence[int] | None, strides: Sequence[Sequence[int]]) -> list[list[int] | None]:
    """Return the spatial size at every level of an encoder with these strides, rounding down, from level to level.

    Raises:
        ValueError: when the size has another number of axes than the strides.
    """
    if spatial_size is None:
        return [None] * (len(strides) + 1)
    if any(len(stride) != len(spatial_size) for stride in strides):
        raise ValueError(
            f"spatial_size (roi_size of a config) must have {len(strides[0])} numbers, got {list(spatial_size)}."
        )
    sizes: list[list[int] | None] = [[max(int(size), 1) for size in spatial_size]]
    current = [int(size) for size in spatial_size]
    for stride in strides:
        current = [max(size // step, 1) for size, step in zip(current, stride, strict=True)]
        sizes.append(current)
    return sizes


def level_strides(strides: Sequence[int | Sequence[int]] | None, spatial_dims: int, levels: int) -> list[list[int]]:
    """Return the stride between every two levels as one number per axis; None is 2 along all.

    Raises:
        ValueError: when there is not one fewer than levels, or one is not a number from 1 on, per axis.
    """
    given = [2] * (levels - 1) if strides is None else list(strides)
    found = [[each] * spatial_dims if isinstance(each, int) else list(each) for each in given]
    fits = all(len(each) == spatial_dims and all(isinstance(n, int) and n >= 1 for n in each) for each in found)
    if len(found) != levels - 1 or not fits:
        raise ValueError(
            f"levels['strides'] must be {levels - 1} numbers, or lists of {spatial_dims}, for {levels} levels, "
            f"got {strides}."
        )
    return found
