"""Split attention: parallel convolutions, mixed per channel by weights that depend on the whole map.

Paper: Zhang et al., ResNeSt: Split-Attention Networks, https://arxiv.org/abs/2004.08955, section 3. It is a residual
block of shape-preserving layers, not a gate: 1x1 convolution, split attention, 1x1 convolution, plus the input.

Differs from the paper:

- The block keeps its width (the paper's is four times as wide outside as inside) and has no activation after the sum,
  so that it can follow any layer.
- The normalization after ``fc1`` is layer normalization over the channels of the pooled vector, whatever ``norm`` is.
  The vector has one value per channel and sample: the paper's batch normalization cannot train on a batch of one
  volume, and instance normalization is not defined at all.
- The hidden units are rounded up to a multiple of ``cardinality``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_norm_layer
from torch import nn

from bundle.utils.option_checks import check_positive

MIN_HIDDEN = 32


class SplitAttention(nn.Module):
    """Return ``x + norm(conv1(sum_r a_r * s_r))`` with ``s = relu(norm(conv3(relu(norm(conv1(x))))))`` in r splits.

    ``conv3`` makes ``radix`` splits of C channels in ``radix * cardinality`` groups. The weights are
    ``a = softmax_r(fc2(relu(norm(fc1(mean over the voxels of sum_r s_r)))))``, one per split and channel; with one
    split it is the sigmoid.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        radix: number of splits r.
        cardinality: number of groups of channels that are mixed independently, K.
        reduction: ratio of ``channels * radix`` to the hidden units, of which 32 are always left.
        norm: MONAI normalization option after the convolutions, or None for no normalization at all. Batch
            normalization needs more than one voxel per batch in training.

    Raises:
        ValueError: when ``radix``, ``cardinality`` or ``reduction`` is below 1, ``radix * cardinality`` does not
            divide ``channels``, or ``norm`` is unknown.

    Examples:
        >>> block = SplitAttention(2, 16)
        >>> block(torch.rand(2, 16, 24, 32)).shape
        torch.Size([2, 16, 24, 32])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        radix: int = 2,
        cardinality: int = 1,
        reduction: int = 4,
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        check_positive(radix=radix, cardinality=cardinality, reduction=reduction)
        if channels % (radix * cardinality):
            raise ValueError(
                f"radix must divide the channels, times cardinality: {radix} * {cardinality} does not divide "
                f"{channels}; choose others."
            )
        self.radix, self.cardinality = radix, cardinality
        self.enter = nn.Sequential(*_conv_norm(spatial_dims, channels, channels, norm), nn.ReLU())
        groups = radix * cardinality
        self.split = nn.Sequential(*_conv_norm(spatial_dims, channels, radix * channels, norm, 3, groups), nn.ReLU())
        hidden = max(channels * radix // reduction, MIN_HIDDEN)
        hidden = -(-hidden // cardinality) * cardinality
        self.fc = nn.Sequential(
            nn.Conv1d(channels, hidden, 1, groups=cardinality, bias=norm is None),
            nn.Identity() if norm is None else nn.GroupNorm(1, hidden),
            nn.ReLU(),
            nn.Conv1d(hidden, radix * channels, 1, groups=cardinality),
        )
        self.leave = nn.Sequential(*_conv_norm(spatial_dims, channels, channels, norm))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map with the mixed splits added, of the shape of ``x`` ``(B, C, ...)``."""
        splits = self.split(self.enter(x)).unflatten(1, [self.radix, x.size(1)])
        weights = self.weigh(splits.flatten(3).mean(-1).sum(1))
        mixed = (splits * weights.to(splits.dtype).reshape(list(weights.shape) + [1] * (x.dim() - 2))).sum(1)
        return x + self.leave(mixed).to(x.dtype)

    def weigh(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map the pooled sum of the splits ``(B, C)`` to the weights of the splits ``(B, radix, C)``."""
        logits = self.fc(pooled.unsqueeze(-1)).reshape(pooled.size(0), self.cardinality, self.radix, -1)
        weights = torch.sigmoid(logits) if self.radix == 1 else torch.softmax(logits, dim=2)
        return weights.transpose(1, 2).reshape(pooled.size(0), self.radix, pooled.size(1))


def _conv_norm(
    spatial_dims: int, in_channels: int, out_channels: int, norm: Any, kernel_size: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution that keeps the size, and its normalization; with one it has no bias."""
    conv = Conv[Conv.CONV, spatial_dims](
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=norm is None
    )
    return [conv] if norm is None else [conv, get_norm_layer(norm, spatial_dims, out_channels)]
