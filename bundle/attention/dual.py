"""Dual attention: every slice or position is a mixture of similar ones, every channel a mixture of the channels.

Paper: Fu et al., Dual Attention Network for Scene Segmentation (CVPR 2019), https://arxiv.org/abs/1809.02983, section
3. It is a sum of the input and two attended maps whose weights start at 0, not a gate.

Differs from the paper:

- The two branches see the same map; the convolutions around them belong to the network.
- In 3D the attention of positions is between slices (``position="slices"``) or between the places of a plane
  (``"plane"``), because one between all voxels does not fit into memory. The remaining axes are folded into the
  features: slices are similar if they are similar place by place, which pooling would hide, and as no weight belongs to
  a place the map may have any size.
- An energy is the mean over what the paper sums over, that is the folded axes (there are none in 2D, where the
  attention of positions is the published one) and in the attention of channels the positions. The sum grows with the
  size of the map, until the softmax selects a single channel and 16-bit numbers overflow; ``energy="sum"`` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from monai.networks.layers.factories import Conv
from torch import nn
from torch.nn import functional

from bundle.utils.check_choice import check_choice

from .squeeze import hidden_size

Position = Literal["slices", "plane"]
Energy = Literal["mean", "sum"]


class DualAttention(nn.Module):
    """Return ``x + gamma_position * P(x) + gamma_channel * C(x)``; both factors start at 0.

    ``P(x) = softmax(Q K^T) V`` over slices or positions, with Q, K, V convolutions of size 1 of x.
    ``C(x) = softmax(rowmax(E) - E) X`` over channels, with ``E = X X^T``.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the feature map.
        spatial_size: not used; every mechanism takes it.
        position: ``"slices"`` (default in 3D) or ``"plane"`` (default and only choice in 2D), whose attention takes
            memory with the square of the number of voxels in a plane.
        slice_dim: spatial axis of the slices; not used in 2D.
        reduction: ratio of the channels to those of Q and K.
        energy: ``"mean"``, or ``"sum"`` as published.

    Raises:
        ValueError: when ``position`` or ``energy`` is unknown, slices of an image are requested, ``slice_dim`` is out
            of range or ``reduction`` is below 1.

    Examples:
        >>> block = DualAttention(3, 16)
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        position: Position | None = None,
        slice_dim: int = -1,
        reduction: int = 8,
        energy: Energy = "mean",
    ) -> None:
        super().__init__()
        check_choice("energy", energy, get_args(Energy))
        axes = _position_axes(spatial_dims, position, slice_dim)
        self.positions = len(axes)
        self.order = [0, *axes, 1, *(axis for axis in range(2, 2 + spatial_dims) if axis not in axes)]
        self.inverse = [self.order.index(axis) for axis in range(2 + spatial_dims)]
        self.mean_energy = energy == "mean"
        hidden = hidden_size("reduction", channels, reduction)
        conv = Conv[Conv.CONV, spatial_dims]
        self.query, self.key = conv(channels, hidden, 1), conv(channels, hidden, 1)
        self.value = conv(channels, channels, 1)
        self.gamma_position = nn.Parameter(torch.zeros(1))
        self.gamma_channel = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map with both attended maps added, of the shape of ``x`` ``(B, C, ...)``."""
        position = self.gamma_position * self.attend_positions(x)
        channel = self.gamma_channel * self.attend_channels(x)
        return x + position.to(x.dtype) + channel.to(x.dtype)

    def attend_positions(self, x: torch.Tensor) -> torch.Tensor:
        """Return P(x), of the shape of ``x`` ``(B, C, ...)``."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        size = [value.size(axis) for axis in self.order]
        folded = self.fold(query)
        scale = float(query.size(1)) / float(folded.size(-1)) if self.mean_energy else 1.0
        mixed = functional.scaled_dot_product_attention(folded, self.fold(key), self.fold(value), scale=scale)
        return mixed.reshape(size).permute(self.inverse)

    def fold(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, 1, positions, features)``, the features being the channels and the folded axes."""
        return x.permute(self.order).flatten(1, self.positions).flatten(2).unsqueeze(1)

    def attend_channels(self, x: torch.Tensor) -> torch.Tensor:
        """Return C(x), of the shape of ``x`` ``(B, C, ...)``."""
        flat = x.flatten(2)
        scaled = flat * float(flat.size(2)) ** -0.5 if self.mean_energy else flat
        energy = torch.bmm(scaled, scaled.transpose(1, 2))
        weights = torch.softmax(torch.amax(energy, -1, keepdim=True) - energy, dim=-1)
        return torch.bmm(weights.to(x.dtype), flat).reshape(x.shape)


def _position_axes(spatial_dims: int, position: Position | None, slice_dim: int) -> list[int]:
    """Return the axes of the map whose places attend to each other."""
    if position is None:
        position = "slices" if spatial_dims == 3 else "plane"
    check_choice("position", position, get_args(Position))
    axes = list(range(2, 2 + spatial_dims))
    if spatial_dims != 3:
        if position == "slices":
            raise ValueError(f"position must be 'plane' where spatial_dims is {spatial_dims}: an image has no slices.")
        return axes
    if not -spatial_dims <= slice_dim < spatial_dims:
        raise ValueError(f"slice_dim must be in [-{spatial_dims}, {spatial_dims}), got {slice_dim}.")
    sliced = axes[slice_dim]
    return [sliced] if position == "slices" else [axis for axis in axes if axis != sliced]
