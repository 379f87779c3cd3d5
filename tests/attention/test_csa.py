"""Channel attention, then slice attention."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from contracts import literal

from bundle.attention import ChannelSliceAttention

POOLINGS = ("avg", "max", "avg_and_max")


@pytest.mark.parametrize(("slice_pooling", "channel_pooling"), list(product(POOLINGS, repeat=2)))
@pytest.mark.parametrize("slice_dim", [0, 1, -1])
def test_slices_are_gated_after_the_channels_were_scaled(
    slice_dim: int, slice_pooling: str, channel_pooling: str
) -> None:
    block = literal.small_block(ChannelSliceAttention, slice_dim, slice_pooling, channel_pooling)

    def reference(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in x:
            gates = literal.channel_gates(block, list(sample), channel_pooling)
            scaled = torch.stack([gate * channel for gate, channel in zip(gates, sample, strict=True)])[None]
            channels = []
            for channel in range(x.shape[1]):
                planes = literal.slices(scaled, 0, channel, slice_dim % 3)
                weights = literal.slice_gates(block, channel, planes, slice_pooling)
                gated = [weight * plane for weight, plane in zip(weights, planes, strict=True)]
                channels.append(torch.stack(gated, dim=slice_dim))
            samples.append(torch.stack(channels))
        return torch.stack(samples)

    literal.assert_same_function(block, reference, torch.randn(3, 8, *literal.SIZE, dtype=torch.float64))
