"""DeepMedic: parallel pathways that see the image at several resolutions, joined at every voxel.

Paper: Kamnitsas et al., Efficient Multi-Scale 3D CNN with Fully Connected CRF for Accurate Brain Lesion Segmentation,
Medical Image Analysis (2017), https://arxiv.org/abs/1603.05959; residual and wide forms as in the authors' later
configurations. Normalization and activation come before a convolution, as there; without residual connections
that is the same network as with both after it. Differs from the original: the image is extended by reflection, so
that the logits have the size of the input, while the original segments patches that are smaller than its input;
low-resolution pathways see means of blocks of voxels; an activation has one slope per layer, not one per channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_spatial_dims

from .blocks.convolution import adn


class DeepMedic(nn.Module):
    """DeepMedic in 2D or 3D; returns logits in training and in evaluation.

    The defaults are the network of the paper. Its residual form has ``residual=(4, 6, 8)``; the wide form has in
    addition ``scales=(1, 3, 5)``, ``fc_channels=(250, 250)``, ``fc_kernel_size=3`` and ``fc_residual=(2,)``.
    It has no stages that an attention mechanism could follow.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        scales: one pathway for each, in voxels of the image per voxel of the pathway.
        channels: channels of the convolutions of size 3 of every pathway.
        residual: numbers, from 2, of the convolutions to whose output the input of the previous one is added.
        fc_channels: channels of the convolutions after the joined pathways.
        fc_kernel_size: odd size of the first of them; the others have size 1.
        fc_residual: as ``residual``, for these convolutions.
        dropout: probability of dropping a value before each of them and before the convolution to the classes; one
            number is used for all.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = DeepMedic(3, 1, 3, channels=[4, 4, 6, 6], fc_channels=[8, 8])
        >>> net(torch.rand(1, 1, 8, 8, 10)).shape
        torch.Size([1, 3, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        scales: Sequence[int] = (1, 3),
        channels: Sequence[int] = (30, 30, 40, 40, 40, 40, 50, 50),
        residual: Sequence[int] = (),
        fc_channels: Sequence[int] = (150, 150),
        fc_kernel_size: int = 1,
        fc_residual: Sequence[int] = (),
        dropout: float | Sequence[float] = (0.0, 0.5, 0.5),
        act: Any = ("prelu", {"init": 0.01}),
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        _check(spatial_dims, scales, channels, fc_channels, fc_kernel_size)
        rates = _dropout_rates(dropout, len(fc_channels) + 1)
        joined = len(scales) * channels[-1]
        _check_residual("residual", residual, [in_channels, *channels])
        _check_residual("fc_residual", fc_residual, [joined, *fc_channels])
        options = {"act": act, "norm": norm}

        self.pathways = nn.ModuleList()
        for scale in scales:
            layers = [_layer(spatial_dims, in_channels, channels[0], kernel_size=3, **options, raw=True)]
            layers += [_layer(spatial_dims, a, b, kernel_size=3, **options) for a, b in pairwise(channels)]
            stack = ValidStack(layers, residual)
            self.pathways.append(Pathway(spatial_dims, stack, scale, len(channels), fc_kernel_size // 2))
        sizes = [fc_kernel_size] + [1] * (len(fc_channels) - 1)
        widths = pairwise([joined, *fc_channels])
        self.fc = ValidStack(
            [
                _layer(spatial_dims, a, b, kernel_size=size, dropout=rate, **options)
                for (a, b), size, rate in zip(widths, sizes, rates[:-1], strict=True)
            ],
            fc_residual,
        )
        self.head = _layer(
            spatial_dims, fc_channels[-1], out_channels, kernel_size=1, dropout=rates[-1], bias=True, **options
        )
        self.min_size = 1
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is empty.
        """
        if min(list(x.shape[2:])) < self.min_size:
            raise ValueError(f"every spatial axis needs at least {self.min_size} voxels, got {list(x.shape[2:])}.")
        seen: list[torch.Tensor] = []
        for pathway in self.pathways:
            seen.append(pathway(x))
        return self.head(self.fc(torch.cat(seen, dim=1)))


class Pathway(nn.Module):
    """Convolutions without padding at a lower resolution, whose result has the size of the image and a margin.

    The image is extended by reflection, averaged over blocks of ``scale`` voxels per side and convolved; every voxel of
    the result is repeated ``scale`` times along every axis, and the center is cropped.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        stack: the convolutions.
        scale: voxels of the image per voxel of the pathway.
        context: voxels of the pathway that the convolutions remove on each side.
        margin: voxels by which the result extends the image on each side.
    """

    def __init__(self, spatial_dims: int, stack: nn.Module, scale: int, context: int, margin: int) -> None:
        super().__init__()
        self.stack = stack
        self.pool = nn.Identity() if scale == 1 else Pool[Pool.AVG, spatial_dims](kernel_size=scale)
        self.scale = scale
        self.context = context
        self.margin = margin

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, C, ...)``, larger than ``x`` by ``2 * margin`` along every spatial axis."""
        size = [extent + 2 * self.margin for extent in x.shape[2:]]
        cells = [(extent + self.scale - 1) // self.scale for extent in size]
        starts = [(cell * self.scale - extent) // 2 for cell, extent in zip(cells, size)]  # noqa: B905 - TorchScript
        for axis in range(len(size)):
            before = self.context * self.scale + starts[axis] + self.margin
            x = extend(x, axis + 2, before, (cells[axis] + 2 * self.context) * self.scale)
        x = self.stack(self.pool(x))
        for axis in range(len(size)):
            if self.scale > 1:
                x = x.repeat_interleave(self.scale, dim=axis + 2)
            x = x.narrow(axis + 2, starts[axis], size[axis])
        return x


class ValidStack(nn.Module):
    """Layers that may shrink the map, one after the other, some with a residual connection.

    Args:
        layers: the layers.
        residual: numbers, from 2, of the layers to whose output the center of the input of the previous layer is added.
    """

    def __init__(self, layers: Sequence[nn.Module], residual: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.residual = [number + 1 in residual for number in range(len(layers))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of the last layer."""
        before = x
        for number, layer in enumerate(self.layers):
            y = layer(x)
            if self.residual[number]:
                y = add_middle(y, before)
            before, x = x, y
        return x


def add_middle(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Add the center of a larger map to the first channels of a map.

    Args:
        y: map ``(B, C, ...)``.
        x: map of at most C channels, and of at least the size of y along every spatial axis.
    """
    for axis in range(2, y.dim()):
        x = x.narrow(axis, (x.size(axis) - y.size(axis)) // 2, y.size(axis))
    return y + functional.pad(x, [0, 0] * (y.dim() - 2) + [0, y.size(1) - x.size(1)])


def extend(x: torch.Tensor, axis: int, before: int, total: int) -> torch.Tensor:
    """Extend a map along an axis by reflection at its first and last voxel, repeatedly if it is short.

    Args:
        x: map; along ``axis`` it has one or more voxels, a single one is repeated.
        axis: axis to extend.
        before: voxels to add before the first.
        total: length of the axis in the result.
    """
    period = max(2 * (x.size(axis) - 1), 1)
    index = torch.arange(-before, total - before, device=x.device).remainder(period)
    return x.index_select(axis, torch.minimum(index, period - index))


def _layer(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    act: Any,
    norm: Any,
    dropout: float = 0.0,
    bias: bool = False,
    raw: bool = False,
) -> nn.Sequential:
    """Build normalization, activation, dropout and a convolution without padding; that alone for ``raw`` input."""
    conv = Conv[Conv.CONV, spatial_dims](in_channels, out_channels, kernel_size, bias=bias or norm is None)
    if raw:
        return nn.Sequential(conv)
    before = adn(spatial_dims, in_channels, act=act, norm=norm, ordering="NA")
    return nn.Sequential(before, nn.Dropout(float(dropout)), conv)


def _check(
    spatial_dims: int, scales: Sequence[int], channels: Sequence[int], fc_channels: Sequence[int], fc_kernel_size: int
) -> None:
    check_spatial_dims(spatial_dims)
    for name, values in (("scales", scales), ("channels", channels), ("fc_channels", fc_channels)):
        if not values or min(values) < 1:
            raise ValueError(f"{name} needs one positive number or more, got {list(values)}.")
    if fc_kernel_size < 1 or fc_kernel_size % 2 == 0:
        raise ValueError(f"fc_kernel_size must be positive and odd, got {fc_kernel_size}.")


def _check_residual(name: str, residual: Sequence[int], widths: Sequence[int]) -> None:
    """Check the numbers of the layers with a residual connection; ``widths`` are those of the input and all outputs."""
    for number in residual:
        if not 2 <= number < len(widths):
            raise ValueError(f"{name} must number layers from 2 to {len(widths) - 1}, got {list(residual)}.")
        if widths[number] < widths[number - 2]:
            raise ValueError(
                f"{name} cannot be {list(residual)}: layer {number} has {widths[number]} channels, fewer than the "
                f"{widths[number - 2]} that would be added."
            )


def _dropout_rates(dropout: float | Sequence[float], count: int) -> list[float]:
    rates = list(dropout) if isinstance(dropout, Sequence) else [dropout] * count
    if len(rates) != count or not all(0 <= rate < 1 for rate in rates):
        raise ValueError(
            f"dropout needs a probability in [0, 1) for every width of fc_channels and one for the classes, {count} in "
            f"total, or one number for all, got {dropout}."
        )
    return rates
