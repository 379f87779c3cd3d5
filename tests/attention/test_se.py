"""Squeeze-and-excitation."""

from __future__ import annotations

import pytest
import torch
from contracts import literal
from monai.networks.blocks import ChannelSELayer

from bundle.attention import SqueezeExcitation


@pytest.mark.parametrize("pooling", ["avg", "max", "avg_and_max"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_channel_is_scaled_by_the_gate_of_its_pooled_voxels(dims: int, pooling: str) -> None:
    torch.manual_seed(0)
    block = SqueezeExcitation(dims, 16, reduction=2, pooling=pooling).double()

    def reference(x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for sample in x:
            gates = literal.channel_gates(block, list(sample), pooling)
            outputs.append(torch.stack([channel * gate for channel, gate in zip(sample, gates, strict=True)]))
        return torch.stack(outputs)

    literal.assert_same_function(block, reference, torch.randn(3, 16, *[5, 4, 3][:dims], dtype=torch.float64))


def test_average_pooling_is_monai_channel_se() -> None:
    block, peer = SqueezeExcitation(3, 8, reduction=4), ChannelSELayer(3, 8, r=4)
    peer.load_state_dict({key.removeprefix("channel."): value for key, value in block.state_dict().items()})
    x = torch.randn(2, 8, 4, 5, 6)
    torch.testing.assert_close(block(x), peer(x))


def test_reduction_beyond_the_channels_leaves_one_hidden_unit() -> None:
    assert SqueezeExcitation(3, 4, reduction=8).channel.fc[0].weight.shape == (1, 4)
