"""Project and excite."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from contracts import literal

from bundle.attention import ProjectExcitation


@pytest.mark.parametrize("act", ["relu", "prelu"])
@pytest.mark.parametrize("projection", ["sum", "mean"])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_voxel_is_scaled_by_the_gate_of_its_projections(dims: int, projection: str, act: str) -> None:
    torch.manual_seed(0)
    block = ProjectExcitation(dims, 6, projection=projection, act=act).double()
    slopes = torch.zeros(3, dtype=torch.float64)
    if act == "prelu":
        torch.nn.init.uniform_(block.act.weight, 0, 1)
        slopes = block.act.weight
    weight1, weight2 = block.conv1.weight.flatten(1), block.conv2.weight.flatten(1)
    bias1, bias2 = block.bias1.flatten(), block.conv2.bias

    def gate(sample: torch.Tensor, place: tuple[int, ...]) -> torch.Tensor:
        """Project onto every axis, that is average its slice at the place, and convolve what all projections give."""
        means = [sample.select(1 + axis, index).flatten(1).sum(1) for axis, index in enumerate(place)]
        means = [mean / sample[0].numel() * sample.shape[1 + axis] for axis, mean in enumerate(means)]
        squeezed = sum(means) / (dims if projection == "mean" else 1)
        hidden = weight1 @ squeezed + bias1
        hidden = torch.where(hidden > 0, hidden, slopes * hidden)
        return 1 / (1 + torch.exp(-(weight2 @ hidden + bias2)))

    def reference(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in x:
            places = product(*(range(side) for side in sample.shape[1:]))
            scaled = [sample[(slice(None), *place)] * gate(sample, place) for place in places]
            samples.append(torch.stack(scaled, dim=1).reshape(sample.shape))
        return torch.stack(samples)

    literal.assert_same_function(block, reference, torch.randn(2, 6, *[4, 3, 5][:dims], dtype=torch.float64))


@pytest.mark.parametrize(
    ("act", "slopes"), [("prelu", 4), (["PReLU", {}], 4), (("prelu", {"num_parameters": 1}), 1), ("relu", 0)]
)
def test_prelu_has_a_slope_per_hidden_channel_unless_a_number_is_given(act: Any, slopes: int) -> None:
    block = ProjectExcitation(3, 8, act=act)
    assert sum(parameter.numel() for parameter in block.act.parameters()) == slopes


def test_first_convolution_starts_like_one_with_a_bias() -> None:
    torch.manual_seed(0)
    block = ProjectExcitation(3, 400)
    for tensor in (block.conv1.weight, block.bias1):
        assert 0.05 * 0.97 < tensor.abs().max() <= 0.05
        assert tensor.mean().abs() < 0.005


def test_reduction_beyond_the_channels_leaves_one_hidden_channel() -> None:
    assert ProjectExcitation(3, 4, reduction=8).conv2.in_channels == 1


def test_unknown_activation_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="RELU"):
        ProjectExcitation(3, 4, act="rectifier")
