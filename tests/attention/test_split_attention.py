"""Split attention."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from contracts import literal
from torch import nn

from bundle.attention import SplitAttention

CHANNELS = 8


def normalized(maps: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    """Normalize ``(B, C, ...)`` channel by channel, with the statistics of the batch or those of training."""
    channels = []
    for index in range(maps.shape[1]):
        values = maps[:, index]
        mean, variance = norm.running_mean[index], norm.running_var[index]
        if norm.training:
            mean = values.sum() / values.numel()
            variance = (values - mean).square().sum() / values.numel()
        scaled = (values - mean) / torch.sqrt(variance + norm.eps)
        channels.append(scaled * norm.weight[index] + norm.bias[index])
    return torch.stack(channels, dim=1)


def convolved(maps: torch.Tensor, conv: nn.Module) -> torch.Tensor:
    """Correlate every channel of ``(B, C, ...)`` with the channels of its group, shift by shift."""
    reach, size, (outputs, fan) = conv.weight.shape[-1] // 2, maps.shape[2:], conv.weight.shape[:2]
    padded = maps.new_zeros([*maps.shape[:2], *(side + 2 * reach for side in size)])
    padded[(..., *(slice(reach, reach + side) for side in size))] = maps
    channels = []
    for output in range(outputs):
        first = output // (outputs // conv.groups) * fan
        total = maps.new_zeros([len(maps), *size])
        for index, tap in product(range(fan), product(range(2 * reach + 1), repeat=len(size))):
            there = tuple(slice(step, step + side) for step, side in zip(tap, size, strict=True))
            total = total + conv.weight[(output, index, *tap)] * padded[(slice(None), first + index, *there)]
        channels.append(total if conv.bias is None else total + conv.bias[output])
    return torch.stack(channels, dim=1)


def layers(maps: torch.Tensor, sequence: nn.Sequential) -> torch.Tensor:
    """Apply convolution, normalization where there is one, and rectifier where there is one."""
    for layer in sequence:
        if isinstance(layer, nn.ReLU):
            maps = torch.where(maps > 0, maps, torch.zeros_like(maps))
        else:
            maps = normalized(maps, layer) if hasattr(layer, "running_mean") else convolved(maps, layer)
    return maps


def weights_of_splits(block: SplitAttention, pooled: torch.Tensor, radix: int, cardinality: int) -> torch.Tensor:
    """Return the weights ``(radix, C)`` from the pooled vector ``(C,)`` of one sample, group of channels by group."""
    first, norm, _, second = block.fc
    width, hidden = CHANNELS // cardinality, first.out_channels // cardinality
    vector = pooled.new_zeros(0)
    for group in range(cardinality):
        rows = slice(group * hidden, (group + 1) * hidden)
        part = first.weight[rows, :, 0] @ pooled[group * width : (group + 1) * width]
        vector = torch.cat([vector, part if first.bias is None else part + first.bias[rows]])
    if not isinstance(norm, nn.Identity):
        mean = vector.sum() / len(vector)
        variance = (vector - mean).square().sum() / len(vector)
        vector = (vector - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
    vector = torch.clamp(vector, min=0)
    weights = []
    for group in range(cardinality):
        rows = slice(group * radix * width, (group + 1) * radix * width)
        logits = second.weight[rows, :, 0] @ vector[group * hidden : (group + 1) * hidden] + second.bias[rows]
        shares = torch.exp(logits.reshape(radix, width))
        weights.append(shares / (shares.sum(0) if radix > 1 else 1 + shares))
    return torch.cat(weights, dim=1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", ["batch", None])
@pytest.mark.parametrize(("dims", "radix", "cardinality"), [(2, 2, 1), (2, 1, 2), (2, 4, 2), (3, 2, 2)])
def test_splits_are_mixed_by_weights_of_the_pooled_sum(
    dims: int, radix: int, cardinality: int, norm: str | None, training: bool
) -> None:
    torch.manual_seed(0)
    options = {"radix": radix, "cardinality": cardinality, "norm": norm}
    block = SplitAttention(dims, CHANNELS, **options).double().train(training)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
    running = {name: buffer.clone() for name, buffer in block.named_buffers()}

    def reference(x: torch.Tensor) -> torch.Tensor:
        for name, buffer in block.named_buffers():
            buffer.copy_(running[name])
        maps = layers(layers(x, block.enter), block.split)
        splits = [maps[:, index * CHANNELS : (index + 1) * CHANNELS] for index in range(radix)]
        mixed = []
        for index in range(len(x)):
            total = sum(split[index] for split in splits)
            pooled = total.flatten(1).sum(1) / total[0].numel()
            weights = weights_of_splits(block, pooled, radix, cardinality)
            mixed.append(
                sum(
                    split[index] * weight.reshape([-1] + [1] * dims)
                    for split, weight in zip(splits, weights, strict=True)
                )
            )
        return x + layers(torch.stack(mixed), block.leave)

    literal.assert_same_function(block, reference, torch.randn(2, CHANNELS, *[4, 3, 2][:dims], dtype=torch.float64))


def test_batch_of_one_trains() -> None:
    assert SplitAttention(3, 8)(torch.randn(1, 8, 4, 4, 4)).isfinite().all()


@pytest.mark.parametrize(
    ("channels", "options", "hidden"),
    [(8, {}, 32), (128, {}, 64), (128, {"radix": 4, "reduction": 2}, 256), (9, {"radix": 1, "cardinality": 9}, 36)],
)
def test_hidden_units_are_the_published_ones_in_whole_groups(
    channels: int, options: dict[str, int], hidden: int
) -> None:
    assert SplitAttention(2, channels, **options).fc[0].out_channels == hidden


def test_convolutions_have_a_bias_only_where_no_norm_follows() -> None:
    with_norm, without = SplitAttention(3, 8), SplitAttention(3, 8, norm=None)
    names = {name for name, _ in without.named_parameters()} - {name for name, _ in with_norm.named_parameters()}
    assert names == {"enter.0.bias", "split.0.bias", "fc.0.bias", "leave.0.bias"}
    assert not list(without.buffers())


@pytest.mark.parametrize(("radix", "cardinality"), [(3, 1), (2, 3)])
def test_channels_that_do_not_divide_into_groups_are_refused(radix: int, cardinality: int) -> None:
    with pytest.raises(ValueError, match=rf"^radix must divide .*{radix} \* {cardinality} does not divide 8"):
        SplitAttention(3, 8, radix=radix, cardinality=cardinality)
