"""Atrous spatial pyramid pooling whose branches are refined, gated and mixed.

Paper: Attention Deeplabv3+: Multi-level Context Attention Mechanism for Skin Lesion Segmentation (Azad et al. 2020),
ECCV workshops. Every branch of the pyramid passes a separate dense block; one perceptron, shared by the branches,
weights their channels; a learned mix over branches and channels joins them. Differs from the paper: any input size, 3D,
the activation is an argument of all layers, image pooling without normalization (see
:mod:`bundle.networks.blocks.aspp`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.utils.option_checks import check_positive

from .aspp import AtrousPyramid
from .convolution import ConvNormAct, act_layer


class DenseBlock(nn.Module):
    """Two convolutions of size 3, and two more on their result joined with the input; no normalization.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of input, result and everything between.
        act: MONAI activation option after every convolution.
        dropout: probability of dropping a value after the second convolution, or None.
    """

    def __init__(self, spatial_dims: int, channels: int, *, act: Any = "relu", dropout: float | None = 0.5) -> None:
        super().__init__()
        options = {"act": act, "norm": None}
        self.first = nn.Sequential(
            ConvNormAct(spatial_dims, channels, channels, **options),
            ConvNormAct(spatial_dims, channels, channels, **options),
        )
        self.dropout = nn.Identity() if dropout is None else nn.Dropout(dropout)
        self.second = nn.Sequential(
            ConvNormAct(spatial_dims, 2 * channels, channels, **options),
            ConvNormAct(spatial_dims, channels, channels, **options),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a map of the shape of ``x`` ``(B, channels, ...)``."""
        return self.second(torch.cat([x, self.dropout(self.first(x))], dim=1))


class BranchGate(nn.Module):
    """Scale every channel by the sigmoid of a perceptron of three layers without bias, from the channel means.

    Args:
        channels: channels C of the map; the hidden layers have C and ``C // reduction`` units, at least 1.
        reduction: ratio of the channels to the units of the second hidden layer.
        act: MONAI activation option of the hidden layers.

    Raises:
        ValueError: when ``reduction`` is below 1.
    """

    def __init__(self, channels: int, *, reduction: int = 8, act: Any = "relu") -> None:
        super().__init__()
        check_positive(reduction=reduction)
        hidden = max(channels // reduction, 1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            act_layer(act),
            nn.Linear(channels, hidden, bias=False),
            act_layer(act),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, ...)``."""
        gate = self.fc(x.flatten(2).mean(-1))
        return x * gate.to(x.dtype).reshape(list(gate.shape) + [1] * (x.dim() - 2))


class AttentionPyramid(AtrousPyramid):
    """The branches of an atrous pyramid, each followed by its dense block and the shared gate, and their mix.

    The mix is a convolution over the axis of the branches, from all channels of all branches to every channel; that is
    one of size 1 over the concatenated branches.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of every branch and of the mix.
        rates: dilations of the convolutions of size 3, in voxels of the input.
        separable: whether those are depthwise separable.
        reduction: ratio of the channels to the narrow layer of the shared gate.
        act: MONAI activation option.
        norm: MONAI normalization option of the branches.
        dropout: probability of dropping a value in the dense blocks, or None.

    Raises:
        ValueError: when a rate or ``reduction`` is not positive.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int = 256,
        *,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = True,
        reduction: int = 8,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = 0.5,
    ) -> None:
        shared: dict[str, Any] = {"separable": separable, "act": act, "norm": norm}
        super().__init__(spatial_dims, in_channels, out_channels, rates=rates, **shared)
        branches = len(self.branches) + 1
        self.dense = nn.ModuleList(
            DenseBlock(spatial_dims, out_channels, act=act, dropout=dropout) for _ in range(branches)
        )
        self.gate = BranchGate(out_channels, reduction=reduction, act=act)
        mix = Conv[Conv.CONV, spatial_dims](branches * out_channels, out_channels, 1, bias=False)
        nn.init.kaiming_normal_(mix.weight, nonlinearity="relu")
        self.mix = nn.Sequential(mix, act_layer(act))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``, of the same spatial size."""
        levels = self.pyramid(x)
        weighted: list[torch.Tensor] = []
        for index, dense in enumerate(self.dense):
            weighted.append(self.gate(dense(levels[index])))
        return self.mix(torch.cat(weighted, dim=1))
