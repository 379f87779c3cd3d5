"""Descriptors and gates that the mechanisms share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts import literal

from bundle.attention import get_attention_layer
from bundle.attention.squeeze import (
    ChannelGate,
    SliceChannelModule,
    SliceDescriptors,
    SliceGate,
    count_slices,
    hidden_size,
    scale_slices,
)


@pytest.mark.parametrize("slice_dim", [-3, -2, -1, 0, 1, 2])
def test_descriptors_are_mean_and_maximum_of_every_slice(slice_dim: int) -> None:
    x = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    mean, maximum = SliceDescriptors(slice_dim, ["avg_and_max"])(x)
    for sample in range(2):
        for channel in range(3):
            planes = literal.slices(x, sample, channel, slice_dim)
            torch.testing.assert_close(
                mean[sample, channel], torch.stack([plane.sum() / plane.numel() for plane in planes])
            )
            assert maximum[sample, channel].tolist() == [max(plane.flatten().tolist()) for plane in planes]


def test_descriptor_that_no_gate_uses_is_not_computed() -> None:
    x = torch.randn(1, 2, 3, 4, 5)
    mean, same = SliceDescriptors(0, ["avg", "avg"])(x)
    assert same is mean
    same, maximum = SliceDescriptors(0, ["max", "max"])(x)
    assert same is maximum
    mean, maximum = SliceDescriptors(0, ["avg", "max"])(x)
    assert torch.equal(mean, x.mean((3, 4)))
    assert torch.equal(maximum, x.amax((3, 4)))


@pytest.mark.parametrize("slice_dim", [-1, 0, 1, 2])
def test_scale_multiplies_every_slice_by_its_number(slice_dim: int) -> None:
    x = torch.randn(1, 2, 3, 4, 5)
    gate = torch.rand(1, 2, x.shape[2:][slice_dim])
    y = scale_slices(x, gate, slice_dim)
    for channel in range(2):
        planes = literal.slices(x, 0, channel, slice_dim)
        for index, plane in enumerate(literal.slices(y, 0, channel, slice_dim)):
            assert torch.equal(plane, planes[index] * gate[0, channel, index])


def test_scale_keeps_the_type_of_the_map() -> None:
    x = torch.randn(1, 2, 3, 4, 5, dtype=torch.bfloat16)
    assert scale_slices(x, torch.rand(1, 2, 5), -1).dtype == torch.bfloat16


@pytest.mark.parametrize(("size", "reduction", "hidden"), [(64, 16, 4), (9, 4, 2), (4, 16, 1), (1, 1, 1)])
def test_hidden_units_are_the_quotient_and_at_least_one(size: int, reduction: int, hidden: int) -> None:
    assert hidden_size("reduction", size, reduction) == hidden


def test_bad_reduction_and_pooling_are_named() -> None:
    with pytest.raises(ValueError, match="slice_reduction must be at least 1, got 0"):
        hidden_size("slice_reduction", 8, 0)
    with pytest.raises(ValueError, match="channel_pooling must be one of avg, max, avg_and_max, got 'mean'"):
        ChannelGate(8, 2, "mean", prefix="channel_")


def test_slices_are_counted_along_their_axis() -> None:
    assert [count_slices("pam", 3, [4, 5, 6], slice_dim) for slice_dim in (-3, -2, -1, 0, 1, 2)] == [4, 5, 6, 4, 5, 6]


@pytest.mark.parametrize("pooling", ["avg", "max", "avg_and_max"])
def test_channel_gate_is_one_mlp_over_the_channels(pooling: str) -> None:
    gate = ChannelGate(6, 2, pooling).double()
    mean, maximum = torch.randn(2, 3, 6, dtype=torch.float64)
    used = {"avg": [mean], "max": [maximum], "avg_and_max": [mean, maximum]}[pooling]
    first, second = gate.fc[0], gate.fc[2]
    for sample, result in enumerate(gate(mean, maximum)):
        wanted = literal.excited([z[sample] for z in used], first.weight, first.bias, second.weight, second.bias)
        torch.testing.assert_close(result, wanted)


@pytest.mark.parametrize("pooling", ["avg", "max", "avg_and_max"])
@pytest.mark.parametrize("depth", [3, 8, 9, 16])
def test_slice_gate_resamples_descriptors_and_logits_linearly_between_slice_centres(pooling: str, depth: int) -> None:
    gate = SliceGate(2, 8, 4, pooling).double()
    mean, maximum = torch.randn(2, 3, 2, depth, dtype=torch.float64)
    used = {"avg": [mean], "max": [maximum], "avg_and_max": [mean, maximum]}[pooling]
    result = gate(mean, maximum).detach().numpy()
    weights = [tensor.detach().numpy() for tensor in (gate.weight1, gate.bias1, gate.weight2, gate.bias2)]
    for sample in range(3):
        for channel in range(2):
            weight1, bias1, weight2, bias2 = (tensor[channel] for tensor in weights)
            logits = np.zeros(depth)
            for z in used:
                hidden = np.maximum(weight1 @ resampled(z[sample, channel].numpy(), 8) + bias1, 0)
                logits += resampled(weight2 @ hidden + bias2, depth)
            np.testing.assert_allclose(result[sample, channel], 1 / (1 + np.exp(-logits)), rtol=0, atol=1e-12)


def resampled(values: np.ndarray, size: int) -> np.ndarray:
    """Interpolate between the centres of equal intervals."""
    centres = (np.arange(len(values)) + 0.5) / len(values)
    return np.interp((np.arange(size) + 0.5) / size, centres, values)


def test_slice_gate_starts_like_a_linear_layer_per_channel() -> None:
    torch.manual_seed(0)
    gate = SliceGate(200, 16, 4, "avg")
    for tensor, bound in ((gate.weight1, 16**-0.5), (gate.bias1, 16**-0.5), (gate.weight2, 0.5), (gate.bias2, 0.5)):
        assert bound * 0.97 < tensor.abs().max() <= bound
        assert tensor.mean().abs() < bound / 10


def test_family_leaves_the_gate_to_its_mechanisms() -> None:
    module = SliceChannelModule(3, 2, [4, 4, 4])
    with pytest.raises(NotImplementedError):
        module(torch.randn(1, 2, 4, 4, 4))


@pytest.mark.parametrize("slice_dim", [0, 1, -1])
@pytest.mark.parametrize("pooling", ["avg", "avg_and_max"])
def test_map_in_channels_last_is_weighted_alike_and_stays_so(slice_dim: int, pooling: str) -> None:
    torch.manual_seed(0)
    block = get_attention_layer(("pam", {"slice_dim": slice_dim, "slice_pooling": pooling}), 3, 4, [5, 6, 7])
    x = torch.randn(2, 4, 5, 6, 7)
    last = block(x.contiguous(memory_format=torch.channels_last_3d))
    assert last.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(last, block(x))
