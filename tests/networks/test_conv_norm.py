"""Convolution, normalization, activation, plain and separable."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.layers.factories import Act
from torch import nn
from torch.nn import functional

from bundle.networks import GroupedInstanceNorm
from bundle.networks.blocks.conv_norm import ConvNormAct, SeparableConv


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("dilation", [1, 2, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_size_is_kept_or_divided_by_the_stride_rounding_up(kernel_size: int, dilation: int, stride: int) -> None:
    layer = ConvNormAct(3, 2, 3, kernel_size=kernel_size, dilation=dilation, stride=stride)
    sizes = [7, 8, 9] if stride == 1 else [4, 4, 5]
    assert layer(torch.randn(2, 2, 7, 8, 9)).shape == (2, 3, *sizes)


@pytest.mark.parametrize(
    ("norm", "act", "kinds"),
    [
        ("batch", "mish", [nn.Conv2d, nn.BatchNorm2d, Act["mish"]]),
        ("instance", None, [nn.Conv2d, GroupedInstanceNorm]),
        (("group", {"num_groups": 2}), ("leakyrelu", {"negative_slope": 0.1}), [nn.Conv2d, nn.GroupNorm, nn.LeakyReLU]),
        (None, "relu", [nn.Conv2d, nn.ReLU]),
    ],
)
def test_layers_are_those_that_are_named(norm: Any, act: Any, kinds: list[type]) -> None:
    layer = ConvNormAct(2, 2, 4, norm=norm, act=act)
    assert [type(module) for module in layer] == kinds
    assert (layer[0].bias is None) == (norm is not None)


def test_variance_survives_many_layers_without_normalization() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(*(ConvNormAct(2, 64, 64, norm=None) for _ in range(8)))
    assert 0.1 < layers(torch.randn(1, 64, 16, 16)).std() < 10


@pytest.mark.parametrize("act", ["mish", None])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_separable_convolution_is_depthwise_then_pointwise(act: str | None, stride: int, dilation: int) -> None:
    layer, x = SeparableConv(2, 3, 5, stride=stride, dilation=dilation, act=act, norm=None), torch.randn(2, 3, 9, 8)
    active = functional.mish if act else nn.Identity()
    (depthwise, pointwise), biases = (layer[0][0].weight, layer[1][0].weight), (layer[0][0].bias, layer[1][0].bias)
    channels = [
        functional.conv2d(x[:, [c]], depthwise[[c]], stride=stride, padding=dilation, dilation=dilation)
        for c in range(3)
    ]
    wanted = active(torch.cat(channels, dim=1) + biases[0].view(-1, 1, 1))
    wanted = active(torch.einsum("oc,bchw->bohw", pointwise[..., 0, 0], wanted) + biases[1].view(-1, 1, 1))
    torch.testing.assert_close(layer(x), wanted)


def test_separable_convolution_normalizes_behind_both() -> None:
    assert [type(module) for part in SeparableConv(3, 2, 4) for module in part] == [
        nn.Conv3d,
        nn.BatchNorm3d,
        nn.ReLU,
    ] * 2
