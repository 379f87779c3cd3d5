"""Base class of the feature trunks: sizes of the features, attention after them, input checks, dilation.

A stride is replaced by dilation of the following kernels as in DeepLab (Chen et al. 2017),
https://arxiv.org/abs/1706.05587. The replacement is exact: every n-th voxel of the dense features is the strided
feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer
from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_spatial_dims

FULL_STRIDES = (2, 4, 8, 16, 32)
"""Size of the input over the size of each of the five features of a trunk that keeps all its strides."""


class Trunk(nn.Module):
    """Network that computes five features of an image, from fine to coarse, each followed by attention.

    A feature at stride s has the size of the input divided by s, rounded up. A subclass computes the features in
    :meth:`extract`.

    Args:
        spatial_dims: 2 or 3.
        channels: channels of the five features.
        output_stride: stride of the last feature; the others have 2, 4, 8 and 16, but at most ``output_stride``.
        norm: MONAI normalization option of the layers that compute the last feature.
        attention: mechanism after every feature, see :func:`bundle.attention.get_attention_layer`; the following
            layers of the trunk see the weighted feature.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.

    Attributes:
        channels: channels of the five features.
        strides: strides of the five features.
        min_size: least size of the input on every spatial axis.

    Raises:
        ValueError: when ``spatial_dims`` or ``output_stride`` is not supported.
    """

    OUTPUT_STRIDES: ClassVar[tuple[int, ...]] = (8, 16, 32)

    def __init__(
        self,
        spatial_dims: int,
        channels: Sequence[int],
        *,
        output_stride: int,
        norm: Any,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_choice("output_stride", output_stride, self.OUTPUT_STRIDES)
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

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the five features of ``x`` ``(B, in_channels, ...)``, from fine to coarse.

        Raises:
            ValueError: when a spatial axis is shorter than ``min_size``, or none is longer and the normalization is
                by instance, which would erase a last feature of one voxel.
        """
        self.check(x)
        return self.extract(x)

    def extract(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute the features of an input that is large enough."""
        raise NotImplementedError

    def check(self, x: torch.Tensor) -> None:
        """Check the size of an input ``(B, in_channels, ...)``, see :meth:`forward`."""
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
    """Return stride and dilations of a stage that halves the size, with strides above ``output_stride`` removed.

    Args:
        stride: stride of the feature of the stage, 4 or more, if all strides were kept.
        output_stride: largest stride of a feature.

    Returns:
        Stride of the strided layer of the stage, dilation up to and including that layer, dilation after it.
    """
    before, after = max(stride // 2 // output_stride, 1), max(stride // output_stride, 1)
    return (2 if after == 1 else 1), before, after


def scaled(channels: Sequence[int], width: float) -> list[int]:
    """Return published numbers of channels times ``width``, at least 1 each.

    Raises:
        ValueError: when ``width`` is not positive.
    """
    if width <= 0:
        raise ValueError(f"width must be positive, got {width}.")
    return [max(round(number * width), 1) for number in channels]
