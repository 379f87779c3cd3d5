"""DenseUNet: an encoder of densely connected blocks with a U-Net's decoder.

Paper: Li et al., H-DenseUNet: Hybrid Densely Connected UNet for Liver and Tumor Segmentation from CT Volumes, IEEE
Transactions on Medical Imaging (2018), https://arxiv.org/abs/1709.07330; the encoder of the defaults is DenseNet-161
(Huang et al., https://arxiv.org/abs/1608.06993). Differs from the original code: any size of input, with maps enlarged
to the size of those that are added to them; an attention mechanism may follow every dense block; the encoder is added
to the decoder in 3D as it is in 2D, through a convolution of size 1 where the widths differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer

from .blocks.conv_adn import Upsample, adn


class DenseUNet(nn.Module):
    """Densely connected U-Net in 2D or 3D; returns logits in training and in evaluation.

    The defaults are the network of the paper for slices. Its network for volumes has ``blocks=(3, 4, 12, 8)``,
    ``growth=32``, ``decoder=(504, 224, 192, 96, 64)``, ``slice_dim=-1`` and ``dropout=0``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        blocks: layers of every dense block, from the finest.
        growth: channels that a layer adds.
        stem: channels of the first convolution.
        decoder: channels of the decoder, from the coarsest; one more than there are blocks.
        compression: share of the channels that a transition between two blocks keeps.
        bottleneck: ratio of the inner channels of a layer to ``growth``.
        slice_dim: spatial axis that transitions do not pool, or None for none.
        attention: mechanism behind every dense block, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        dropout: probability of dropping a value behind the last convolution of size 3.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        blocks: Sequence[int] = (6, 12, 36, 24),
        growth: int = 48,
        stem: int = 96,
        decoder: Sequence[int] = (768, 384, 96, 96, 64),
        compression: float = 0.5,
        bottleneck: int = 4,
        slice_dim: int | None = None,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}.")
        self.slice_dim = -1 if slice_dim is None else spatial_axis(slice_dim, spatial_dims)
        self.features = DenseFeatures(
            spatial_dims,
            in_channels,
            blocks=blocks,
            growth=growth,
            stem=stem,
            decoder=decoder,
            compression=compression,
            bottleneck=bottleneck,
            slice_dim=self.slice_dim,
            attention=attention,
            spatial_size=spatial_size,
            act=act,
            norm=norm,
            dropout=dropout,
        )
        self.head = Conv[Conv.CONV, spatial_dims](decoder[-1], out_channels, 1)
        self.min_size = self.features.min_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis but that of ``slice_dim`` is shorter than ``2 ** (len(blocks) + 1)``.
        """
        check_size(list(x.shape[2:]), self.min_size, self.slice_dim)
        return self.head(self.features(x, 0))


class DenseFeatures(nn.Module):
    """Encoder and decoder of :class:`DenseUNet`, to features of full size.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        slice_dim: spatial axis of the volume that transitions do not pool, from 0; -1 for none.
        stacked: whether the network is 2D and its input the slices of volumes; attention then sees the volumes.
        suffix: what follows the names of the first four options in error messages.
        blocks: this option and all others as in :class:`DenseUNet`.
        growth: as there.
        stem: as there.
        decoder: as there.
        compression: as there.
        bottleneck: as there.
        attention: as there.
        spatial_size: as there; that of the volume.
        act: as there.
        norm: as there.
        dropout: as there.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        slice_dim: int,
        stacked: bool = False,
        suffix: str = "",
        blocks: Sequence[int],
        growth: int,
        stem: int,
        decoder: Sequence[int],
        compression: float,
        bottleneck: int,
        attention: AttentionSpec,
        spatial_size: Sequence[int] | None,
        act: Any,
        norm: Any,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_widths(suffix, blocks, growth, stem, decoder)
        _check_rest(compression, bottleneck, dropout)
        conv, options = Conv[Conv.CONV, spatial_dims], {"act": act, "norm": norm}
        volume_dims = 3 if stacked else spatial_dims
        pooled = [axis != slice_dim for axis in range(volume_dims)]
        sizes = _stage_sizes(spatial_size, len(blocks), pooled if stacked else [True] * volume_dims, pooled)
        stride = [2] * spatial_dims if stacked else [2 if pool else 1 for pool in pooled]

        first = conv(in_channels, stem, 7, stride=2, padding=3, bias=norm is None)
        self.stem = nn.Sequential(first, adn(spatial_dims, stem, **options, ordering="NA"))
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=3, stride=2, padding=1)
        self.blocks, self.gates, self.transitions = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        widths, width = [stem], stem
        for layers, size in zip(blocks, sizes, strict=True):
            starts = [width + number * growth for number in range(layers)]
            dense = [DenseLayer(spatial_dims, start, bottleneck * growth, growth, **options) for start in starts]
            widths.append(width + layers * growth)
            gate = get_attention_layer(attention, volume_dims, widths[-1], size)
            width = max(int(widths[-1] * compression), 1)
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
    """Append ``growth`` channels: normalization, activation, convolution of size 1, the same with size 3.

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
        conv = Conv[Conv.CONV, spatial_dims]
        self.layers = nn.Sequential(
            adn(spatial_dims, in_channels, act=act, norm=norm, ordering="NA"),
            conv(in_channels, inner_channels, 1, bias=norm is None),
            adn(spatial_dims, inner_channels, act=act, norm=norm, ordering="NA"),
            conv(inner_channels, growth, 3, padding=1, bias=norm is None),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` ``(B, in_channels, ...)`` and behind it ``growth`` channels."""
        return torch.cat([x, self.layers(x)], dim=1)


class StageAttention(nn.Module):
    """Attention that sees the volume where its map is a batch of slices.

    Args:
        layer: attention block.
        axis: axis of the slices in the volume ``(B, C, D, H, W)``; used only where the map is a batch of slices.
    """

    def __init__(self, layer: nn.Module, axis: int) -> None:
        super().__init__()
        self.layer = layer
        self.axis = axis

    def forward(self, x: torch.Tensor, slices: int) -> torch.Tensor:
        """Return a map of the shape of ``x``: a map, or, where ``slices`` is not 0, a batch of so many slices each."""
        if slices == 0:
            return self.layer(x)
        return unstack(self.layer(stack(x, slices, self.axis)), self.axis)


def stack(x: torch.Tensor, slices: int, axis: int) -> torch.Tensor:
    """Make volumes ``(B, C, D, H, W)`` of their ``slices`` ``(B * slices, C, ...)``, which then lie along ``axis``."""
    return x.reshape([-1, slices, x.size(1), x.size(2), x.size(3)]).movedim(1, axis)


def unstack(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Make a batch ``(B * slices, C, ...)`` of the slices along ``axis`` of volumes ``(B, C, D, H, W)``."""
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
        raise ValueError(f"slice_dim must lie in [-{spatial_dims}, {spatial_dims}), got {slice_dim}.")
    return slice_dim % spatial_dims


def check_size(size: list[int], least: int, slice_dim: int) -> None:
    """Refuse a spatial size with an axis shorter than ``least``; the axis ``slice_dim``, if there is one, is free.

    Raises:
        ValueError: when an axis is too short.
    """
    for axis, extent in enumerate(size):
        if axis != slice_dim and extent < least:
            free = "" if slice_dim < 0 else f" (but axis {slice_dim}, that of the slices)"
            raise ValueError(f"every spatial axis needs at least {least} voxels{free}, got {size}.")


def _transition(
    spatial_dims: int, in_channels: int, out_channels: int, stride: Sequence[int], *, act: Any, norm: Any
) -> nn.Sequential:
    return nn.Sequential(
        adn(spatial_dims, in_channels, act=act, norm=norm, ordering="NA"),
        Conv[Conv.CONV, spatial_dims](in_channels, out_channels, 1, bias=norm is None),
        Pool[Pool.AVG, spatial_dims](kernel_size=tuple(stride)),
    )


def _stage_sizes(
    spatial_size: Sequence[int] | None, stages: int, halved: Sequence[bool], pooled: Sequence[bool]
) -> list[list[int] | None]:
    """Return the size behind every block: the stem halves axes twice, rounding up, a transition once, rounding down."""
    if spatial_size is None:
        return [None] * stages
    first = [-(-int(extent) // 4) if half else int(extent) for extent, half in zip(spatial_size, halved, strict=True)]
    return [
        [max(extent >> stage, 1) if pool else extent for extent, pool in zip(first, pooled, strict=True)]
        for stage in range(stages)
    ]


def _check_widths(suffix: str, blocks: Sequence[int], growth: int, stem: int, decoder: Sequence[int]) -> None:
    if not blocks or min(blocks) < 1:
        raise ValueError(f"blocks{suffix} needs one positive number of layers or more, got {list(blocks)}.")
    for name, value in (("growth", growth), ("stem", stem)):
        if value < 1:
            raise ValueError(f"{name}{suffix} must be at least 1, got {value}.")
    if len(decoder) != len(blocks) + 1 or min(decoder) < 1:
        raise ValueError(
            f"decoder{suffix} needs {len(blocks) + 1} positive widths, one more than there are blocks, got "
            f"{list(decoder)}."
        )


def _check_rest(compression: float, bottleneck: int, dropout: float) -> None:
    if not 0 < compression <= 1:
        raise ValueError(f"compression must lie in (0, 1], got {compression}.")
    if bottleneck < 1:
        raise ValueError(f"bottleneck must be at least 1, got {bottleneck}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout}.")
