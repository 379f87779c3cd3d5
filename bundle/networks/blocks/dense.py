"""Densely connected encoder and decoder, and the layers that the DenseUNets share.

Papers: Densely Connected Convolutional Networks (Huang et al. 2017), https://arxiv.org/abs/1608.06993, and H-DenseUNet
(Li et al. 2018), https://arxiv.org/abs/1709.07330; for the differences see :mod:`bundle.networks.denseunet`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer
from bundle.utils.option_checks import check_group_positive, fill_options

from .convolution import adn, preactivated
from .unet_levels import Upsample

LAYERS_2D: dict[str, Any] = {
    **{"blocks": (6, 12, 36, 24), "growth": 48, "stem": 96, "decoder": (768, 384, 96, 96, 64)},
    **{"compression": 0.5, "bottleneck": 4},
}
"""Options of :class:`DenseFeatures` of the network for slices of H-DenseUNet; its encoder is DenseNet-161."""

LAYERS_3D: dict[str, Any] = {
    **{"blocks": (3, 4, 12, 8), "growth": 32, "stem": 96, "decoder": (504, 224, 192, 96, 64)},
    **{"compression": 0.5, "bottleneck": 4},
}
"""Options of :class:`DenseFeatures` of the network for volumes of H-DenseUNet."""


class DenseFeatures(nn.Module):
    """Encoder and decoder of a DenseUNet, to features of full size.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        layers: options of the layers, all keys of :data:`LAYERS_2D`, checked by :func:`dense_layers`: ``blocks``,
            layers of every dense block, from the finest; ``growth``, channels that a layer adds; ``stem``, channels of
            the first convolution; ``decoder``, channels of the decoder, from the coarsest, one more than there are
            blocks; ``compression``, share of the channels that a transition between two blocks keeps; ``bottleneck``,
            ratio of the inner channels of a layer to ``growth``.
        slice_dim: spatial axis of the volume that transitions do not pool, from 0; -1 for none.
        stacked: whether the network is 2D and its input the slices of volumes; attention then sees the volumes.
        attention: mechanism after every dense block, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch; of the volume where the input is its slices.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        dropout: probability of dropping a value after the last convolution of size 3.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        layers: Mapping[str, Any],
        slice_dim: int,
        stacked: bool = False,
        attention: AttentionSpec,
        spatial_size: Sequence[int] | None,
        act: Any,
        norm: Any,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        blocks, growth, stem, decoder = (layers[key] for key in ("blocks", "growth", "stem", "decoder"))
        conv, options = Conv[Conv.CONV, spatial_dims], {"act": act, "norm": norm}
        volume_dims = 3 if stacked else spatial_dims
        pooled = [axis != slice_dim for axis in range(volume_dims)]
        sizes = _stage_sizes(spatial_size, len(blocks), pooled if stacked else [True] * volume_dims, pooled)
        stride = [2] * spatial_dims if stacked else [2 if pool else 1 for pool in pooled]

        first = conv(in_channels, stem, 7, stride=2, padding=3, bias=norm is None)
        self.stem = nn.Sequential(first, adn(spatial_dims, stem, **options, ordering="NA"))
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=3, stride=2, padding=1)
        self.blocks, self.gates, self.transitions = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        widths, width, inner = [stem], stem, layers["bottleneck"] * growth
        for depth, size in zip(blocks, sizes, strict=True):
            starts = [width + number * growth for number in range(depth)]
            dense = [DenseLayer(spatial_dims, start, inner, growth, **options) for start in starts]
            widths.append(width + depth * growth)
            gate = get_attention_layer(attention, volume_dims, widths[-1], size)
            width = max(int(widths[-1] * layers["compression"]), 1)
            self.blocks.append(nn.Sequential(*dense))
            self.gates.append(StageAttention(gate, slice_dim + 2))
            self.transitions.append(_transition(spatial_dims, widths[-1], width, stride, **options))
        self.transitions[-1] = adn(spatial_dims, widths[-1], **options, ordering="NA")

        self.upsamples, self.projections, self.convs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        *skips, deepest = widths
        for skip, (below, width) in zip(reversed(skips), pairwise([deepest, *decoder[:-1]]), strict=True):
            self.upsamples.append(Upsample(spatial_dims, below, "nearest"))
            self.projections.append(nn.Identity() if skip == below else conv(skip, below, 1))
            self.convs.append(conv_norm_act(spatial_dims, below, width, **options))
        self.upsample = Upsample(spatial_dims, decoder[-2], "nearest")
        self.last = conv_norm_act(spatial_dims, decoder[-2], decoder[-1], **options, dropout=dropout)
        self.min_size = 2 ** (len(blocks) + 1)

    def forward(self, x: torch.Tensor, slices: int) -> torch.Tensor:
        """Return the features ``(B, decoder[-1], ...)`` of ``x`` ``(B, in_channels, ...)``.

        Args:
            x: images or volumes, or the slices of volumes as a batch.
            slices: slices of a volume where ``x`` is such a batch, else 0.
        """
        size = x.shape[2:]
        x = self.stem(x)
        skips = [x]
        x = self.pool(x)
        for block, gate, transition in zip(self.blocks, self.gates, self.transitions):  # noqa: B905 - TorchScript
            x = gate(block(x), slices)
            skips.append(x)
            x = transition(x)
        skips.pop()
        for upsample, project, conv in zip(self.upsamples, self.projections, self.convs):  # noqa: B905 - TorchScript
            skip = skips.pop()
            x = conv(upsample(x, skip.shape[2:]) + project(skip))
        return self.last(self.upsample(x, size))


class DenseLayer(nn.Module):
    """Append ``growth`` channels: normalization, activation and convolution of size 1, then the same with size 3.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        inner_channels: channels between the two convolutions.
        growth: channels to append.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, inner_channels: int, growth: int, *, act: Any, norm: Any
    ) -> None:
        super().__init__()
        options = {"act": act, "norm": norm, "bias": norm is None}
        self.layers = nn.Sequential(
            *preactivated(spatial_dims, in_channels, inner_channels, 1, **options),
            *preactivated(spatial_dims, inner_channels, growth, **options),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` ``(B, in_channels, ...)`` followed by ``growth`` channels."""
        return torch.cat([x, self.layers(x)], dim=1)


class StageAttention(nn.Module):
    """Attention that sees the volume also where its input is a batch of slices.

    Args:
        layer: attention block.
        axis: axis of the slices in the volume ``(B, C, D, H, W)``; used only where the map is a batch of slices.
    """

    def __init__(self, layer: nn.Module, axis: int) -> None:
        super().__init__()
        self.layer = layer
        self.axis = axis

    def forward(self, x: torch.Tensor, slices: int) -> torch.Tensor:
        """Return a map of the shape of ``x``: volumes, or, unless ``slices`` is 0, slices, so many per volume."""
        if slices == 0:
            return self.layer(x)
        return unstack(self.layer(stack(x, slices, self.axis)), self.axis)


def stack(x: torch.Tensor, slices: int, axis: int) -> torch.Tensor:
    """Join slices ``(B * slices, C, ...)`` along ``axis`` to volumes ``(B, C, D, H, W)``."""
    return x.reshape([-1, slices, x.size(1), x.size(2), x.size(3)]).movedim(1, axis)


def unstack(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Split volumes ``(B, C, D, H, W)`` along ``axis`` to slices ``(B * slices, C, ...)``."""
    return x.movedim(axis, 1).flatten(0, 1)


def conv_norm_act(
    spatial_dims: int, in_channels: int, out_channels: int, *, act: Any, norm: Any, dropout: float = 0.0
) -> nn.Sequential:
    """Build a convolution of size 3, dropout of single values, normalization and activation."""
    return nn.Sequential(
        Conv[Conv.CONV, spatial_dims](in_channels, out_channels, 3, padding=1, bias=norm is None),
        nn.Dropout(float(dropout)),
        adn(spatial_dims, out_channels, act=act, norm=norm, ordering="NA"),
    )


def spatial_axis(slice_dim: int, spatial_dims: int) -> int:
    """Return a spatial axis counted from 0.

    Raises:
        ValueError: when there is no such axis.
    """
    if not -spatial_dims <= slice_dim < spatial_dims:
        raise ValueError(f"slice_dim must be in [-{spatial_dims}, {spatial_dims}), got {slice_dim}.")
    return slice_dim % spatial_dims


def check_size(size: list[int], least: int, slice_dim: int) -> None:
    """Check that every axis of a spatial size but ``slice_dim`` (-1 for none) has at least ``least`` voxels.

    Raises:
        ValueError: when an axis is too short.
    """
    for axis, extent in enumerate(size):
        if axis != slice_dim and extent < least:
            free = "" if slice_dim < 0 else f" (except axis {slice_dim}, that of the slices)"
            raise ValueError(f"every spatial axis needs at least {least} voxels{free}, got {size}.")


def _transition(
    spatial_dims: int, in_channels: int, out_channels: int, stride: Sequence[int], *, act: Any, norm: Any
) -> nn.Sequential:
    return nn.Sequential(
        *preactivated(spatial_dims, in_channels, out_channels, 1, act=act, norm=norm, bias=norm is None),
        Pool[Pool.AVG, spatial_dims](kernel_size=tuple(stride)),
    )


def _stage_sizes(
    spatial_size: Sequence[int] | None, stages: int, halved: Sequence[bool], pooled: Sequence[bool]
) -> list[list[int] | None]:
    """Return the size after every block: the stem halves axes twice, rounding up, a transition once, rounding down."""
    if spatial_size is None:
        return [None] * stages
    first = [-(-int(extent) // 4) if half else int(extent) for extent, half in zip(spatial_size, halved, strict=True)]
    return [
        [max(extent >> stage, 1) if pool else extent for extent, pool in zip(first, pooled, strict=True)]
        for stage in range(stages)
    ]


def dense_layers(name: str, given: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the layers of :class:`DenseFeatures`, checked.

    Args:
        name: name of the group of options.
        given: options that differ from the defaults, or None.
        defaults: all options.

    Raises:
        ValueError: when an option is unknown or out of range; the message starts with ``name#option``.
    """
    layers = fill_options(name, given, defaults)
    blocks, decoder = list(layers["blocks"]), list(layers["decoder"])
    if not blocks or min(blocks) < 1:
        raise ValueError(f"{name}#blocks needs one positive number of layers or more, got {blocks}.")
    check_group_positive(name, layers, "growth", "stem", "bottleneck")
    if len(decoder) != len(blocks) + 1 or min(decoder) < 1:
        raise ValueError(
            f"{name}#decoder needs {len(blocks) + 1} positive widths, one more than there are blocks, got {decoder}."
        )
    if not 0 < layers["compression"] <= 1:
        raise ValueError(f"{name}#compression must be in (0, 1], got {layers['compression']}.")
    return layers


def check_dropout(dropout: float) -> None:
    """Check a probability of dropping a value.

    Raises:
        ValueError: when it is not in [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}.")
