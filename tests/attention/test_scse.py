"""Concurrent spatial and channel squeeze-and-excitation."""

from __future__ import annotations

import pytest
import torch
from contracts import literal

from bundle.attention import SpatialChannelExcitation


@pytest.mark.parametrize("fusion", ["max", "add"])
@pytest.mark.parametrize("dims", [2, 3])
def test_map_scaled_by_channel_and_map_scaled_by_voxel_are_fused(dims: int, fusion: str) -> None:
    torch.manual_seed(0)
    block = SpatialChannelExcitation(dims, 6, fusion=fusion).double()

    def reference(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in x:
            gates = literal.channel_gates(block, list(sample), "avg")
            logits = sum(
                weight * channel for weight, channel in zip(block.spatial.weight.flatten(), sample, strict=True)
            )
            spatial = 1 / (1 + torch.exp(-(logits + block.spatial.bias)))
            fused = []
            for gate, channel in zip(gates, sample, strict=True):
                first, second = channel * gate, channel * spatial
                fused.append(first + second if fusion == "add" else torch.where(first > second, first, second))
            samples.append(torch.stack(fused))
        return torch.stack(samples)

    x = torch.randn(3, 6, *[5, 4, 3][:dims], dtype=torch.float64)
    assert (x < 0).any(), "the larger of two negative products has the smaller gate"
    literal.assert_same_function(block, reference, x)


def test_reduction_beyond_the_channels_leaves_one_hidden_unit() -> None:
    assert SpatialChannelExcitation(3, 4, reduction=8).channel.fc[0].weight.shape == (1, 4)
