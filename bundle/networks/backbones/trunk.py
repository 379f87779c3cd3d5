"""What the feature trunks have in common: sizes of their features, attention behind them, checks, dilation.

Removing a stride and spreading the kernels behind it instead is the manner of DeepLab (Chen et al. 2017),
https://arxiv.org/abs/1706.05587. It is exact: every n-th voxel of the dense features is the strided feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer

FULL_STRIDES = (2, 4, 8, 16, 32)
"""Size of the input over the size of each of the five features of a trunk that keeps all its strides."""


class Trunk(nn.Module):
    """Network that turns an image into five features, from fine to coarse, each behind its attention.

    A feature at stride s has the size of the input divided by s, rounded up.

    Args:
        spatial_dims: 2 or 3.
        channels: channels of the five features.
        output_stride: stride of the last feature, 8, 16 or 32; the others have 2, 4, 8 and 16, or that if it is less.
        attention: mechanism behind every feature; what follows in the trunk sees the weighted feature.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        norm: MONAI normalization option of the layers that make the last feature.

    Attributes:
        channels: channels of the five features.
        strides: strides of the five features.
        min_size: least size of the input on every spatial axis.

    Raises:
        ValueError: when ``spatial_dims`` or ``output_stride`` is none of these.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: Sequence[int],
        *,
        output_stride: int,
        attention: AttentionSpec,
        spatial_size: Sequence[int] | None,
        norm: Any,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}.")
        if output_stride not in FULL_STRIDES[2:]:
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}.")
        self.channels = list(channels)
        self.strides = [min(stride, output_stride) for stride in FULL_STRIDES]
        sizes = feature_sizes(spatial_size, self.strides)
        self.gates = nn.ModuleList(
            get_attention_layer(attention, spatial_dims, width, size)
            for width, size in zip(self.channels, sizes, strict=True)
        )
        self.min_size = output_stride
        kind = norm if norm is None or isinstance(norm, str) else norm[0]
        self.needs_two_voxels = kind is not None and kind.lower().startswith("instance")

    def check(self, x: torch.Tensor) -> None:
        """Refuse an input ``(B, in_channels, ...)`` that is too small.

        Raises:
            ValueError: when a spatial axis is shorter than ``min_size``, or none is longer and the normalization is
                by instance, which would erase a last feature of one voxel.
        """
        size = list(x.shape[2:])
        if min(size) < self.min_size:
            raise ValueError(f"every spatial axis needs at least {self.min_size} voxels, got {size}.")
        if self.needs_two_voxels and max(size) == self.min_size:
            raise ValueError(
                f"norm instance would erase features of one voxel: a spatial axis needs more than {self.min_size} "
                f"voxels, got {size}."
            )


def feature_sizes(spatial_size: Sequence[int] | None, strides: Sequence[int]) -> list[list[int] | None]:
    """Return the spatial size of the feature at every stride: ``spatial_size`` divided by it, rounded up."""
    if spatial_size is None:
        return [None] * len(strides)
    return [[-(-int(size) // stride) for size in spatial_size] for stride in strides]


def stride_and_dilations(stride: int, output_stride: int) -> tuple[int, int, int]:
    """Tell how a stage that halves the size is built where the strides beyond ``output_stride`` are removed.

    Args:
        stride: stride of the feature of the stage, 4 or more, were all strides kept.
        output_stride: stride that no feature may exceed.

    Returns:
        Stride of the strided layer of the stage, dilation up to and with that layer, dilation behind it.
    """
    before, behind = max(stride // 2 // output_stride, 1), max(stride // output_stride, 1)
    return (2 if behind == 1 else 1), before, behind


def scaled(channels: Sequence[int], width: float) -> list[int]:
    """Return published numbers of channels times ``width``, at least 1 each.

    Raises:
        ValueError: when ``width`` is not positive.
    """
    if width <= 0:
        raise ValueError(f"width must be positive, got {width}.")
    return [max(round(number * width), 1) for number in channels]
