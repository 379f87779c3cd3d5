"""Spatial transformer: the map is resampled by an affine map that a small network computes from it.

Paper: Jaderberg et al., Spatial Transformer Networks, https://arxiv.org/abs/1506.02025, section 3. The paper leaves the
localization network open; here it has two convolutions of stride 2, an adaptive average pooling and a linear layer that
starts at 0. Its output is added to the identity, so that the block starts as one.

The result is on another grid than the input. A network for segmentation that joins it with maps of the old grid, or
returns it as a label map, compares voxels of different places; the block is meant for classification.

The sampling is that of ``monai.networks.layers.AffineTransform(normalized=True, reverse_indexing=False,
align_corners=False)``. That class is not used: TorchScript does not take it, and under autocast it computes the
coordinates in 16 bits, which is too coarse for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from monai.networks.layers.factories import Conv
from torch import nn
from torch.nn import functional

from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_positive, check_spatial_dims

from .squeeze import hidden_size

PaddingMode = Literal["zeros", "border", "reflection"]


class SpatialTransformer(nn.Module):
    """Sample x linearly at ``A p + t`` for every place p, in coordinates from -1 to 1, with A and t computed from x.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        reduction: ratio of the channels to those of the localization network.
        pool_size: size of its pooled map along every spatial axis.
        padding_mode: values outside of the map: ``"zeros"``, ``"border"`` or ``"reflection"``.

    Raises:
        ValueError: when ``spatial_dims`` is neither 2 nor 3, ``reduction`` or ``pool_size`` is below 1, or
            ``padding_mode`` is unknown.

    Examples:
        >>> block = SpatialTransformer(2, 16)
        >>> block(torch.rand(2, 16, 24, 32)).shape
        torch.Size([2, 16, 24, 32])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        reduction: int = 2,
        pool_size: int = 4,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_positive(pool_size=pool_size)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        hidden = hidden_size("reduction", channels, reduction)
        conv = Conv[Conv.CONV, spatial_dims]
        self.spatial_dims, self.pool_size, self.padding_mode = spatial_dims, pool_size, padding_mode
        self.features = nn.Sequential(
            conv(channels, hidden, 3, stride=2, padding=1), nn.ReLU(), conv(hidden, hidden, 3, stride=2, padding=1)
        )
        self.head = nn.Linear(hidden * pool_size**spatial_dims, spatial_dims * (spatial_dims + 1))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the resampled map, of the shape of ``x`` ``(B, C, ...)``.

        Coordinates are computed, and the map is sampled, in single precision at least.
        """
        places = self.places(self.localize(x), x)
        sampled = functional.grid_sample(
            x.to(places.dtype), places, padding_mode=self.padding_mode, align_corners=False
        )
        return sampled.to(x.dtype)

    def localize(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``x`` to its affine maps ``(B, spatial_dims, spatial_dims + 1)``; coordinates run last axis first."""
        features = self.pool(torch.relu(self.features(x)))
        change = self.head(features.flatten(1))
        change = change if change.dtype == torch.float64 else change.float()
        identity = torch.eye(self.spatial_dims, self.spatial_dims + 1, dtype=change.dtype, device=change.device)
        return identity + change.reshape(-1, self.spatial_dims, self.spatial_dims + 1)

    def places(self, theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return where to sample ``x`` for every place ``(B, ..., spatial_dims)``, by the affine maps ``theta``.

        Products of numbers, not of matrices, which autocast would compute in 16 bits.
        """
        dims = self.spatial_dims
        lines: list[torch.Tensor] = []
        for axis in range(dims, 0, -1):
            side = x.size(1 + axis)
            centers = (2 * torch.arange(side, dtype=theta.dtype, device=theta.device) + 1) / side - 1
            lines.append(centers.reshape([side if other == axis else 1 for other in range(dims + 1)]))
        rows: list[torch.Tensor] = []
        for row in range(dims):
            moved = theta[:, row, dims].reshape([-1] + [1] * dims)
            for column in range(dims):
                moved = moved + theta[:, row, column].reshape([-1] + [1] * dims) * lines[column]
            rows.append(moved)
        return torch.stack(rows, dim=-1)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Average ``(B, C, ...)`` to ``pool_size`` places per axis, in 3D in two steps: ONNX cannot pool three axes."""
        size = self.pool_size
        if self.spatial_dims == 2:
            return functional.adaptive_avg_pool2d(x, (size, size))
        planes = functional.adaptive_avg_pool2d(x.flatten(1, 2), (size, size))
        planes = planes.reshape(x.size(0), x.size(1), x.size(2), size * size)
        return functional.adaptive_avg_pool2d(planes, (size, size * size))
