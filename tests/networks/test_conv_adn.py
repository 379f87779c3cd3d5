"""Blocks that several networks are made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.attention import AttentionGate, SqueezeExcitation
from bundle.networks import GroupedInstanceNorm
from bundle.networks.blocks.conv_adn import (
    ConvADN,
    PlainSkip,
    Upsample,
    adn,
    conv_stack,
    level_attention,
    level_sizes,
    skip_attention,
)


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


@pytest.mark.parametrize(("dims", "size"), [(2, [7, 10]), (3, [7, 10, 9])])
@pytest.mark.parametrize("mode", ["linear", "nearest", "deconv"])
def test_upsampling_gives_the_size_asked_for(dims: int, size: list[int], mode: str) -> None:
    x = torch.randn(1, 2, *(extent // 2 for extent in size))
    assert Upsample(dims, 2, mode)(x, size).shape == (1, 2, *size)


@pytest.mark.parametrize(("mode", "kernel"), [("linear", "bilinear"), ("nearest", "nearest")])
def test_interpolation_is_that_of_torch_upsampling(mode: str, kernel: str) -> None:
    x = torch.randn(1, 2, 3, 4)
    assert torch.equal(Upsample(2, 2, mode)(x, [6, 8]), nn.Upsample(scale_factor=2, mode=kernel)(x))


def test_transposed_convolution_is_interpolated_only_where_the_size_is_odd() -> None:
    block, x = Upsample(2, 2, "deconv", out_channels=3), torch.randn(1, 2, 3, 4)
    doubled = functional.conv_transpose2d(x, block.deconv.weight, block.deconv.bias, stride=2)
    assert torch.equal(block(x, [6, 8]), doubled)
    assert torch.equal(block(x, [7, 8]), functional.interpolate(doubled, size=[7, 8], mode="bilinear"))


def test_map_of_the_size_asked_for_is_returned_as_it_is() -> None:
    x = torch.randn(1, 2, 3, 4)
    assert Upsample(2, 2, "linear")(x, [3, 4]) is x


@pytest.mark.parametrize("options", [("cubic",), ("linear", 3), ("nearest", 1)])
def test_upsampling_that_cannot_be_built_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="upsample"):
        Upsample(3, 2, *options)


def test_level_sizes_are_those_of_max_pooling() -> None:
    x = torch.zeros(1, 1, 37, 16, 7)
    for size in level_sizes([37, 16, 7], 3):
        assert size == list(x.shape[2:])
        x = functional.max_pool3d(x, 2) if min(x.shape[2:]) > 1 else x


def test_level_sizes_never_vanish_and_are_none_where_unknown() -> None:
    assert level_sizes([3, 8, 1], 3) == [[3, 8, 1], [1, 4, 1], [1, 2, 1]]
    assert level_sizes(None, 2) == [None, None]


def test_gate_of_skips_sits_on_the_skips_and_every_other_mechanism_at_the_end_of_the_level() -> None:
    assert isinstance(level_attention("ag", 3, 8, None), nn.Identity)
    assert isinstance(skip_attention("ag", 3, 8, 16, "instance"), AttentionGate)
    assert isinstance(level_attention("se", 3, 8, None), SqueezeExcitation)
    assert isinstance(skip_attention("se", 3, 8, 16, "instance"), PlainSkip)
    assert isinstance(skip_attention(None, 3, 8, 16, "instance"), PlainSkip)


def test_gate_of_skips_has_the_norm_of_the_network_unless_it_names_one() -> None:
    assert isinstance(skip_attention("ag", 3, 8, 16, "instance").output[1], GroupedInstanceNorm)
    assert isinstance(skip_attention(("ag", {"norm": "batch"}), 3, 8, 16, "instance").output[1], nn.BatchNorm3d)


def test_plain_skip_is_the_skip() -> None:
    skip = torch.randn(1, 2, 4, 4)
    assert PlainSkip()(skip, torch.randn(1, 4, 2, 2)) is skip


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripts_of_two_orders_in_one_process_keep_their_orders() -> None:
    x = torch.randn(2, 3, 5, 5)
    for ordering in ("AN", "NA", "AN"):
        block = adn(2, 3, act="relu", norm="instance", ordering=ordering)
        torch.testing.assert_close(torch.jit.script(block)(x), block(x))
