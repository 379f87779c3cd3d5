"""Descriptors and gates that the slice and channel mechanisms share.

A mechanism of this family scales a feature map by one number per (sample, channel, slice). Pooling commutes with such
a scale, so every gate can be computed from the descriptors of the *input* alone: the map is read once for them, read
once more and written once for the product, however many gates are chained.

``slice_dim`` indexes the spatial axes from 0 and may be negative: -1 is the last one, the axial slices after
``Orientationd("RAS")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_positive

Pooling = Literal["avg", "max", "avg_and_max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def hidden_size(name: str, size: int, reduction: int) -> int:
    """Return ``size // reduction``, but at least 1.

    Raises:
        ValueError: when ``reduction`` is below 1; the message names the argument ``name``.
    """
    check_positive(**{name: reduction})
    return max(size // reduction, 1)


def count_slices(mechanism: str, spatial_dims: int, spatial_size: Sequence[int] | None, slice_dim: int) -> int:
    """Return how many slices a map of ``spatial_size`` has along ``slice_dim``.

    Raises:
        ValueError: when the map is not 3D, has no such axis, or its size is not given.
    """
    if spatial_dims != 3:
        raise ValueError(
            f"attention {mechanism!r} weights the slices of a volume and needs spatial_dims=3, got {spatial_dims}; "
            "use 'se' for images."
        )
    if not -spatial_dims <= slice_dim < spatial_dims:
        raise ValueError(f"slice_dim must be in [-{spatial_dims}, {spatial_dims}), got {slice_dim}.")
    if spatial_size is None or len(spatial_size) != spatial_dims or min(spatial_size) < 1:
        raise ValueError(
            f"attention {mechanism!r} needs spatial_size, {spatial_dims} positive sizes of the feature map it was made "
            f"for, got {spatial_size}."
        )
    return int(spatial_size[slice_dim])


def scale_slices(x: torch.Tensor, gate: torch.Tensor, slice_dim: int) -> torch.Tensor:
    """Multiply the map ``(B, C, D, H, W)`` by one number per channel and slice, ``gate`` ``(B, C, S)``."""
    shape = [gate.size(0), gate.size(1), 1, 1, 1]
    shape[2 + slice_dim % 3] = gate.size(2)
    factor = gate.to(x.dtype).reshape(shape)
    if x.size(1) > 1 and x.stride(1) == 1:  # channels last: the product is ten times as fast where both are
        factor = factor.contiguous(memory_format=torch.channels_last_3d)
    return x * factor


class SliceDescriptors(nn.Module):
    """Pool ``(B, C, D, H, W)`` over the two in-plane axes to the mean and the maximum of every slice, ``(B, C, S)``.

    Args:
        slice_dim: spatial axis of the slices.
        poolings: poolings of the following gates; a statistic that none of them uses is not computed, the other one
            is returned in its place.
    """

    def __init__(self, slice_dim: int, poolings: Sequence[str]) -> None:
        super().__init__()
        self.plane = [axis for axis in (2, 3, 4) if axis != 2 + slice_dim % 3]
        self.use_avg = any(pooling != "max" for pooling in poolings)
        self.use_max = any(pooling != "avg" for pooling in poolings)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and maximum, each ``(B, C, S)``."""
        if not self.use_max:
            mean = self._mean(x)
            return mean, mean
        maximum = torch.amax(x, self.plane)
        return (self._mean(x) if self.use_avg else maximum), maximum

    def _mean(self, x: torch.Tensor) -> torch.Tensor:
        if self.plane == [2, 3] and x.size(1) > 1 and x.stride(1) == 1:  # channels last: the rows are read in order
            rows = x.permute(0, 2, 3, 4, 1).reshape(x.size(0), x.size(2) * x.size(3), x.size(4) * x.size(1))
            return torch.mean(rows, 1).reshape(x.size(0), x.size(4), x.size(1)).transpose(1, 2)
        return torch.mean(x, self.plane)


class ChannelGate(nn.Module):
    """One gate per channel from its mean and maximum: ``sigmoid(MLP(mean) + MLP(maximum))``, one shared MLP.

    Args:
        channels: number of channels C.
        reduction: ratio of C to the hidden units; clamped so that one unit is left.
        pooling: which of the two descriptors to use, one of :data:`POOLINGS`.
        prefix: what precedes ``reduction`` and ``pooling`` in the arguments of the mechanism, for error messages.
    """

    def __init__(self, channels: int, reduction: int, pooling: Pooling, prefix: str = "") -> None:
        super().__init__()
        check_choice(f"{prefix}pooling", pooling, POOLINGS)
        self.pooling = pooling
        hidden = hidden_size(f"{prefix}reduction", channels, reduction)
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Map the descriptors ``(B, C)`` to gates ``(B, C)`` in (0, 1)."""
        if self.pooling == "avg_and_max":
            return torch.sigmoid(self.fc(mean) + self.fc(maximum))
        return torch.sigmoid(self.fc(mean if self.pooling == "avg" else maximum))


class SliceGate(nn.Module):
    """One gate per channel and slice; every channel has a separate small MLP over its slices.

    The weights are made for ``slices`` slices. Descriptors of a map with another number of slices are resampled
    linearly to that number, and the gates back.

    Args:
        channels: number of channels C.
        slices: number of slices S that the weights are made for.
        reduction: ratio of S to the hidden units; clamped so that one unit is left.
        pooling: which of the two descriptors to use, one of :data:`POOLINGS`.
        prefix: what precedes ``reduction`` and ``pooling`` in the arguments of the mechanism, for error messages.
    """

    def __init__(self, channels: int, slices: int, reduction: int, pooling: Pooling, prefix: str = "") -> None:
        super().__init__()
        check_choice(f"{prefix}pooling", pooling, POOLINGS)
        self.pooling = pooling
        self.slices = slices
        hidden = hidden_size(f"{prefix}reduction", slices, reduction)
        self.weight1 = nn.Parameter(torch.empty(channels, hidden, slices))
        self.bias1 = nn.Parameter(torch.empty(channels, hidden))
        self.weight2 = nn.Parameter(torch.empty(channels, slices, hidden))
        self.bias2 = nn.Parameter(torch.empty(channels, slices))
        for weight, bias in ((self.weight1, self.bias1), (self.weight2, self.bias2)):
            bound = weight.shape[-1] ** -0.5  # the initialization of nn.Linear, channel by channel
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Map the descriptors ``(B, C, S)`` to gates ``(B, C, S)`` in (0, 1)."""
        if self.pooling == "avg_and_max":
            return torch.sigmoid(self._logits(mean) + self._logits(maximum))
        return torch.sigmoid(self._logits(mean if self.pooling == "avg" else maximum))

    def _logits(self, descriptor: torch.Tensor) -> torch.Tensor:
        depth = descriptor.size(2)
        if depth != self.slices:
            descriptor = functional.interpolate(descriptor, size=self.slices, mode="linear", align_corners=False)
        per_channel = descriptor.transpose(0, 1)
        hidden = torch.relu(torch.bmm(per_channel, self.weight1.transpose(1, 2)) + self.bias1.unsqueeze(1))
        logits = (torch.bmm(hidden, self.weight2.transpose(1, 2)) + self.bias2.unsqueeze(1)).transpose(0, 1)
        if depth != self.slices:
            logits = functional.interpolate(logits, size=depth, mode="linear", align_corners=False)
        return logits


class SliceChannelModule(nn.Module):
    """A slice gate and a channel gate, multiplied; a mechanism defines in :meth:`gate` what each is computed from.

    Args:
        spatial_dims: must be 3.
        channels: channels of the feature map.
        spatial_size: spatial size of the feature map that the weights are made for.
        slice_dim: spatial axis of the slices.
        slice_reduction: ratio of the number of slices to the hidden units of the slice gate.
        channel_reduction: ratio of the number of channels to the hidden units of the channel gate.
        slice_pooling: pooling for the slice gate: ``"avg"``, ``"max"``, or ``"avg_and_max"``, which adds the logits of
            both.
        channel_pooling: pooling for the channel gate: the same choice.

    Raises:
        ValueError: when the map is not 3D, ``spatial_size`` is missing, ``slice_dim`` or a reduction is out of range,
            or a pooling is unknown.
    """

    name = ""

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        slice_dim: int = -1,
        slice_reduction: int = 8,
        channel_reduction: int = 8,
        slice_pooling: Pooling = "avg",
        channel_pooling: Pooling = "avg",
    ) -> None:
        super().__init__()
        slices = count_slices(self.name, spatial_dims, spatial_size, slice_dim)
        self.slice_dim = slice_dim
        self.slice = SliceGate(channels, slices, slice_reduction, slice_pooling, prefix="slice_")
        self.channel = ChannelGate(channels, channel_reduction, channel_pooling, prefix="channel_")
        self.squeeze = SliceDescriptors(slice_dim, [slice_pooling, channel_pooling])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the re-weighted map, of the shape of ``x`` ``(B, C, D, H, W)``."""
        mean, maximum = self.squeeze(x)
        return scale_slices(x, self.gate(mean, maximum), self.slice_dim)

    def gate(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Map the descriptors of the slices, each ``(B, C, S)``, to the gate ``(B, C, S)``."""
        raise NotImplementedError
