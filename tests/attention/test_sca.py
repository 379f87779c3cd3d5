"""Slice attention, then channel attention."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from contracts import literal

from bundle.attention import SliceChannelAttention

POOLINGS = ("avg", "max", "avg_and_max")


@pytest.mark.parametrize(("slice_pooling", "channel_pooling"), list(product(POOLINGS, repeat=2)))
@pytest.mark.parametrize("slice_dim", [0, 1, -1])
def test_channels_are_gated_by_all_slices_of_the_gated_map(
    slice_dim: int, slice_pooling: str, channel_pooling: str
) -> None:
    block = literal.small_block(SliceChannelAttention, slice_dim, slice_pooling, channel_pooling)

    def reference(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in range(x.shape[0]):
            scaled = []
            for channel in range(x.shape[1]):
                planes = literal.slices(x, sample, channel, slice_dim % 3)
                weights = literal.slice_gates(block, channel, planes, slice_pooling)
                gated = [weight * plane for weight, plane in zip(weights, planes, strict=True)]
                scaled.append(torch.stack(gated, dim=slice_dim))
            gates = literal.channel_gates(block, scaled, channel_pooling)
            samples.append(torch.stack([gate * channel for gate, channel in zip(gates, scaled, strict=True)]))
        return torch.stack(samples)

    literal.assert_same_function(block, reference, torch.randn(3, 8, *literal.SIZE, dtype=torch.float64))
