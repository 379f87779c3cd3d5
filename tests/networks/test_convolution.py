"""Convolutions with normalization, activation and dropout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.layers.factories import Act
from torch import nn
from torch.nn import functional

from bundle.networks import GroupedInstanceNorm
from bundle.networks.blocks.convolution import ConvADN, ConvNormAct, SeparableConv, adn, conv_stack, preactivated


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_convolution_keeps_the_size(dims: int, kernel_size: int) -> None:
    block = ConvADN(dims, 2, 3, kernel_size=kernel_size)
    assert block(torch.randn(1, 2, *[7, 8, 9][:dims])).shape == (1, 3, *[7, 8, 9][:dims])


def test_strided_convolution_halves_the_size_rounding_down() -> None:
    assert ConvADN(3, 2, 3, kernel_size=2, stride=2)(torch.randn(1, 2, 7, 8, 9)).shape == (1, 3, 3, 4, 4)


@pytest.mark.parametrize("kernel_size", [-1, 0, 2])
def test_kernel_that_would_change_the_size_is_refused(kernel_size: int) -> None:
    with pytest.raises(ValueError, match=f"kernel_size must be positive and odd, got {kernel_size}"):
        ConvADN(3, 2, 3, kernel_size=kernel_size)


def test_layers_follow_the_convolution_in_the_order_of_the_letters() -> None:
    block = ConvADN(3, 2, 4, adn_ordering="NDA", act="relu", norm="batch", dropout=0.1)
    assert [type(layer) for layer in block[1]] == [nn.BatchNorm3d, nn.Dropout3d, nn.ReLU]
    block = ConvADN(2, 2, 4)
    assert [type(layer) for layer in block[1]] == [nn.PReLU, GroupedInstanceNorm]
    assert [type(layer) for layer in ConvADN(2, 2, 4, adn_ordering="")] == [nn.Conv2d]


def test_activation_and_norm_are_optional() -> None:
    x = torch.randn(1, 2, 3, 4)
    assert torch.equal(adn(2, 2, act=None, norm=None)(x), x)


def test_stack_goes_from_the_first_width_over_the_middle_one_to_the_last() -> None:
    stack = conv_stack(3, 1, 4, 6, convs=3, kernel_size=3)
    assert [(block[0].in_channels, block[0].out_channels) for block in stack] == [(1, 4), (4, 4), (4, 6)]
    (single,) = conv_stack(2, 1, 4, 6, convs=1)
    assert (single[0].in_channels, single[0].out_channels) == (1, 6)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripts_of_two_orders_in_one_process_keep_their_orders() -> None:
    x = torch.randn(2, 3, 5, 5)
    for ordering in ("AN", "NA", "AN"):
        block = adn(2, 3, act="relu", norm="instance", ordering=ordering)
        torch.testing.assert_close(torch.jit.script(block)(x), block(x))


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


def test_separable_convolution_normalizes_after_both() -> None:
    assert [type(module) for part in SeparableConv(3, 2, 4) for module in part] == [
        nn.Conv3d,
        nn.BatchNorm3d,
        nn.ReLU,
    ] * 2


@pytest.mark.parametrize(("kernel_size", "stride", "size"), [(1, 1, (7, 8)), (3, 1, (7, 8)), (3, 2, (4, 4))])
def test_convolution_follows_its_normalization_and_activation(kernel_size: int, stride: int, size: tuple) -> None:
    options = {"act": "relu", "norm": "batch", "stride": stride, "bias": False}
    before, conv = preactivated(2, 3, 5, kernel_size, **options)
    assert [type(layer) for layer in before] == [nn.BatchNorm2d, nn.ReLU]
    assert conv.bias is None
    assert conv(before(torch.randn(2, 3, 7, 8))).shape == (2, 5, *size)
