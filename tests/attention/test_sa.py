"""Slice attention."""

from __future__ import annotations

import pytest
import torch
from contracts import literal

from bundle.attention import SliceAttention


@pytest.mark.parametrize("pooling", ["avg", "max", "avg_and_max"])
@pytest.mark.parametrize("slice_dim", [0, 1, 2])
def test_every_slice_is_scaled_by_the_gate_of_the_mlp_of_its_channel(slice_dim: int, pooling: str) -> None:
    torch.manual_seed(0)
    block = SliceAttention(3, 4, [5, 6, 7], slice_dim=slice_dim, reduction=2, pooling=pooling).double()

    def reference(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in range(x.shape[0]):
            channels = []
            for channel in range(x.shape[1]):
                planes = literal.slices(x, sample, channel, slice_dim)
                gates = literal.slice_gates(block, channel, planes, pooling)
                channels.append(torch.stack([s * plane for s, plane in zip(gates, planes, strict=True)], dim=slice_dim))
            samples.append(torch.stack(channels))
        return torch.stack(samples)

    literal.assert_same_function(block, reference, torch.randn(3, 4, 5, 6, 7, dtype=torch.float64))


def test_channels_do_not_see_each_other() -> None:
    block, x = SliceAttention(3, 2, [4, 4, 4]), torch.randn(1, 2, 4, 4, 4)
    changed = x.clone()
    changed[:, 1] += 5
    assert torch.equal(block(x)[:, 0], block(changed)[:, 0])
