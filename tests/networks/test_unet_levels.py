"""Upsampling, attention and sizes of the levels of a U-Net."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.attention import AttentionGate, SqueezeExcitation
from bundle.networks import GroupedInstanceNorm
from bundle.networks.blocks.unet_levels import (
    PlainSkip,
    Upsample,
    level_attention,
    level_sizes,
    skip_attention,
    strided_sizes,
)


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


def test_a_size_of_other_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"spatial_size \(roi_size of a config\) must have 3 numbers, got \[40, 56\]"):
        strided_sizes([40, 56], [[2, 2, 2]])


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
