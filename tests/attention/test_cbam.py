"""Convolutional block attention module."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from contracts import literal

from bundle.attention import CBAM


def convolved(pair: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Correlate two maps ``(2, ...)`` with a kernel of odd size, place by place; nothing is outside of them."""
    reach, size = weight.shape[-1] // 2, pair.shape[1:]
    offsets = list(product(range(-reach, reach + 1), repeat=len(size)))
    sums = []
    for place in product(*(range(side) for side in size)):
        total = pair.new_zeros(())
        for offset in offsets:
            there = tuple(index + step for index, step in zip(place, offset, strict=True))
            if all(0 <= index < side for index, side in zip(there, size, strict=True)):
                tap = tuple(step + reach for step in offset)
                total = total + (pair[(slice(None), *there)] * weight[(0, slice(None), *tap)]).sum()
        sums.append(total)
    return torch.stack(sums).reshape(size)


def literal_cbam(block: CBAM, x: torch.Tensor) -> torch.Tensor:
    """Spell the module out: channel gates, then a gate per voxel of what they leave."""
    scaled, logits = [], []
    for sample in x:
        gates = literal.channel_gates(block, list(sample), "avg_and_max")
        scaled.append(torch.stack([gate * channel for gate, channel in zip(gates, sample, strict=True)]))
        pair = torch.stack([scaled[-1].max(0).values, scaled[-1].sum(0) / len(sample)])
        logits.append(convolved(pair, block.spatial[0].weight))
    maps = torch.stack(logits)
    if len(block.spatial) == 1:
        maps = maps + block.spatial[0].bias
    else:
        norm = block.spatial[1]
        mean, variance = norm.running_mean, norm.running_var
        if norm.training:
            mean = maps.sum() / maps.numel()
            variance = (maps - mean).square().sum() / maps.numel()
        maps = (maps - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
    gated = [volume / (1 + torch.exp(-logit)) for volume, logit in zip(scaled, maps, strict=True)]
    return torch.stack(gated)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", ["batch", None])
@pytest.mark.parametrize(("dims", "kernel_size"), [(2, 7), (2, 1), (3, 3)])
def test_channels_are_gated_first_and_voxels_of_the_result_after(
    dims: int, kernel_size: int, norm: str | None, training: bool
) -> None:
    torch.manual_seed(0)
    block = CBAM(dims, 6, reduction=2, kernel_size=kernel_size, norm=norm).double().train(training)
    if norm:
        for tensor in (block.spatial[1].weight, block.spatial[1].running_mean, block.spatial[1].running_var):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.randn(2, 6, *[4, 5, 3][:dims], dtype=torch.float64)
    running = {name: buffer.clone() for name, buffer in block.named_buffers()}

    def reference(leaf: torch.Tensor) -> torch.Tensor:
        for name, buffer in block.named_buffers():
            buffer.copy_(running[name])
        return literal_cbam(block, leaf)

    literal.assert_same_function(block, reference, x)


def test_published_sizes_are_the_default() -> None:
    block = CBAM(2, 64)
    assert block.channel.fc[0].weight.shape == (4, 64)
    assert block.spatial[0].weight.shape == (1, 2, 7, 7)
    assert block.spatial[0].bias is None
    assert isinstance(block.spatial[1], torch.nn.BatchNorm2d)


def test_reduction_beyond_the_channels_leaves_one_hidden_unit() -> None:
    assert CBAM(3, 8).channel.fc[0].weight.shape == (1, 8)


def test_unknown_norm_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="BATCH"):
        CBAM(3, 8, norm="bach")
