"""Project and excite: one gate per channel and voxel, from the projections of the map onto its axes.

Papers: Rickmann et al., Project & Excite Modules for Segmentation of Volumetric Medical Scans (MICCAI 2019),
https://arxiv.org/abs/1906.04649, and Recalibrating 3D ConvNets with Project & Excite (IEEE TMI 2020),
https://arxiv.org/abs/2002.10994. Differs from them in the order of the steps: the first convolution has size 1 and is
linear, so it is applied to the small projections before they are spread over the map and added. The defaults are the
published form; ``projection="mean", act="prelu"`` is the form that slice attention was compared with. In 2D there are
two projections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from monai.networks.layers.factories import Conv, split_args
from monai.networks.layers.utils import get_act_layer
from torch import nn

from bundle.utils.check_choice import check_choice

from .squeeze import hidden_size

Projection = Literal["sum", "mean"]


class ProjectExcitation(nn.Module):
    """Scale every voxel of every channel by ``sigmoid(K2 act(K1 z))``, z the sum of the projections of the map.

    The projection onto an axis is the mean over all the others. ``K1`` and ``K2`` are convolutions of size 1.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        projection: ``"sum"`` of the projections, as published, or their ``"mean"``.
        act: MONAI activation option; ``"prelu"`` has a slope per hidden channel unless ``num_parameters`` is given.
        reduction: ratio of the channels to the hidden channels.

    Raises:
        ValueError: when ``projection`` or ``act`` is unknown or ``reduction`` is below 1.

    Examples:
        >>> block = ProjectExcitation(3, 16)
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        projection: Projection = "sum",
        act: Any = "relu",
        reduction: int = 2,
    ) -> None:
        super().__init__()
        check_choice("projection", projection, get_args(Projection))
        hidden = hidden_size("reduction", channels, reduction)
        axes = range(2, 2 + spatial_dims)
        self.pooled = [[axis for axis in axes if axis != kept] for kept in axes]
        self.share = 1.0 if projection == "sum" else 1.0 / spatial_dims
        self.conv1 = Conv[Conv.CONV, spatial_dims](channels, hidden, 1, bias=False)
        self.bias1 = nn.Parameter(torch.empty([hidden] + [1] * spatial_dims))
        nn.init.uniform_(self.bias1, -(channels**-0.5), channels**-0.5)  # the initialization of a convolution
        self.act = _activation(act, hidden)
        self.conv2 = Conv[Conv.CONV, spatial_dims](hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, ...)``."""
        hidden = self.bias1
        for axes in self.pooled:
            hidden = hidden + self.share * self.conv1(torch.mean(x, axes, keepdim=True))
        return x * torch.sigmoid(self.conv2(self.act(hidden))).to(x.dtype)


def _activation(act: Any, hidden: int) -> nn.Module:
    name, options = split_args(act)
    if name.lower() == "prelu":
        options = {"num_parameters": hidden, **options}
    return get_act_layer((name, options))
