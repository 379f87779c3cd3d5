"""Multi-scale large-kernel attention: a map is weighted by wide depthwise convolutions of itself.

Papers: Guo et al., Visual Attention Network, https://arxiv.org/abs/2202.09741, section 3.1, for the attention of large
kernels; Bozorgpour et al., HCA-Net, https://arxiv.org/abs/2311.12486, for that of several scales. It is not a gate: the
weights are not bounded. Differs from the papers in that the kernels have as many axes as the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv
from torch import nn


class LargeKernelAttention(nn.Module):
    """Return ``proj(u * mix([scale_1(l); scale_2(l); ...]))`` with ``u = gelu(proj(x))`` and ``l = local(u)``.

    ``local`` and the scales are depthwise convolutions; ``proj`` and ``mix`` have kernels of size 1. A scale with a
    kernel of size k and dilation d sees ``d (k - 1) + 1`` voxels along an axis.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        local_kernel: odd size of the first depthwise convolution.
        kernels: odd sizes of the scales.
        dilations: their dilations.

    Raises:
        ValueError: when a kernel is not positive and odd, a dilation is below 1, or their numbers differ.

    Examples:
        >>> block = LargeKernelAttention(2, 16)
        >>> block(torch.rand(2, 16, 24, 32)).shape
        torch.Size([2, 16, 24, 32])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        local_kernel: int = 5,
        kernels: Sequence[int] = (3, 5, 7),
        dilations: Sequence[int] = (1, 2, 3),
    ) -> None:
        super().__init__()
        _check(local_kernel, kernels, dilations)
        conv = Conv[Conv.CONV, spatial_dims]
        self.enter = nn.Sequential(conv(channels, channels, 1), nn.GELU())
        self.local = _depthwise(spatial_dims, channels, local_kernel, 1)
        self.scales = nn.ModuleList(
            _depthwise(spatial_dims, channels, kernel, dilation)
            for kernel, dilation in zip(kernels, dilations, strict=True)
        )
        self.mix = conv(len(kernels) * channels, channels, 1)
        self.leave = conv(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weighted map, of the shape of ``x`` ``(B, C, ...)``."""
        entered = self.enter(x)
        local = self.local(entered)
        weights = self.mix(torch.cat([scale(local) for scale in self.scales], dim=1))
        return self.leave(entered * weights).to(x.dtype)


def _depthwise(spatial_dims: int, channels: int, kernel: int, dilation: int) -> nn.Module:
    """Return a depthwise convolution that keeps the size."""
    return Conv[Conv.CONV, spatial_dims](
        channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=channels
    )


def _check(local_kernel: int, kernels: Sequence[int], dilations: Sequence[int]) -> None:
    if local_kernel < 1 or local_kernel % 2 == 0:
        raise ValueError(f"local_kernel must be positive and odd, got {local_kernel}.")
    if not kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
        raise ValueError(f"kernels must be one positive and odd size or more, got {list(kernels)}.")
    if len(dilations) != len(kernels) or min(dilations) < 1:
        raise ValueError(f"dilations must be {len(kernels)} numbers of 1 or more, got {list(dilations)}.")
