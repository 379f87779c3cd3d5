"""Squeeze-and-excitation: one gate per channel.

Paper: Hu et al., Squeeze-and-Excitation Networks, https://arxiv.org/abs/1709.01507, section 3. In 3D it is the "cSE"
row of the comparisons of slice attention. Differs from the paper in the choice of the pooling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .squeeze import ChannelGate, Pooling


class SqueezeExcitation(nn.Module):
    """Scale every channel by ``sigmoid(MLP(pool(x)))``.

    Args:
        spatial_dims: number of spatial axes, 1 to 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        reduction: ratio of the channels to the hidden units.
        pooling: ``"avg"``, ``"max"``, or ``"avg_and_max"``, which adds the logits of both.

    Raises:
        ValueError: when ``reduction`` is below 1 or ``pooling`` is unknown.

    Examples:
        >>> block = SqueezeExcitation(2, 16, reduction=4)
        >>> block(torch.rand(2, 16, 24, 32)).shape
        torch.Size([2, 16, 24, 32])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        reduction: int = 8,
        pooling: Pooling = "avg",
    ) -> None:
        super().__init__()
        self.axes = list(range(2, 2 + spatial_dims))
        self.channel = ChannelGate(channels, reduction, pooling)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, ...)``."""
        if self.channel.pooling == "avg":
            mean = torch.mean(x, self.axes)
            gate = self.channel(mean, mean)
        else:
            gate = self.channel(torch.mean(x, self.axes), torch.amax(x, self.axes))
        return x * gate.to(x.dtype).reshape(list(gate.shape) + [1] * len(self.axes))
