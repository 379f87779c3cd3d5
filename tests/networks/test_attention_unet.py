"""The attention U-Net; what it shares with other networks is tested in ``test_conv_adn.py``."""

from __future__ import annotations

import pytest
import torch
from contracts.attention import scripts
from torch import nn

from bundle.attention import ProgressiveAttention
from bundle.networks import AttentionUNet

SMALL = {"channels": (4, 8, 16), "attention": None}


def test_default_network_has_the_published_number_of_parameters() -> None:
    parameters = sum(parameter.numel() for parameter in AttentionUNet(3, 1, 4, attention=None).parameters())
    assert round(parameters / 1e6, 3) == 1.022


def test_every_level_of_encoder_and_decoder_ends_in_attention_for_its_size() -> None:
    network = AttentionUNet(3, 1, 4, spatial_size=(64, 48, 40))
    gates = [level[-1] for level in (*network.encoders, *network.decoders)]
    assert all(isinstance(gate, ProgressiveAttention) for gate in gates)
    assert [gate.slice.slices for gate in gates] == [40, 20, 10, 5, 10, 20, 40]
    assert [gate.slice.weight1.shape[0] for gate in gates] == [16, 32, 64, 128, 64, 32, 16]


def test_widths_of_the_convolutions_are_those_of_the_original() -> None:
    network = AttentionUNet(3, 1, 4, attention=None)
    widths = [
        [(block[0].in_channels, block[0].out_channels) for block in level[0]]
        for level in (*network.encoders, *network.decoders)
    ]
    assert widths == [
        [(1, 8), (8, 16)],
        [(16, 16), (16, 32)],
        [(32, 32), (32, 64)],
        [(64, 64), (64, 128)],
        [(192, 64), (64, 64)],
        [(96, 32), (32, 32)],
        [(48, 16), (16, 16)],
    ]


def test_decoder_sees_the_skip_before_the_upsampled_map() -> None:
    network, x = AttentionUNet(2, 1, 2, channels=(4, 8), attention=None), torch.randn(1, 1, 8, 8)
    skip = network.encoders[0](x)
    below = nn.Upsample(scale_factor=2, mode="bilinear")(network.encoders[1](nn.MaxPool2d(2)(skip)))
    wanted = network.heads[0](network.decoders[0](torch.cat([skip, below], dim=1)))
    torch.testing.assert_close(network(x), wanted)


@pytest.mark.parametrize("convs", [1, 3])
def test_levels_and_convolutions_are_arguments(convs: int) -> None:
    network = AttentionUNet(3, 2, 3, levels={"convs": convs}, **SMALL)
    assert {len(level[0]) for level in network.encoders} == {convs}
    assert network(torch.randn(1, 2, 9, 8, 11)).shape == (1, 3, 9, 8, 11)


@scripts
@pytest.mark.parametrize("upsample", ["linear", "nearest", "deconv"])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_upsampling_is_scripted(dims: int, upsample: str) -> None:
    network = AttentionUNet(dims, 1, 3, decoder={"upsample": upsample}, **SMALL)
    x = torch.randn(1, 1, *[11, 9, 8][:dims])
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))


def test_heads_of_coarser_levels_exist_only_for_deep_supervision() -> None:
    assert not any("heads.0" in key for key in AttentionUNet(3, 1, 3, **SMALL).state_dict())
    assert any("heads.0" in key for key in AttentionUNet(3, 1, 3, deep_supervision=True, **SMALL).state_dict())


def test_thick_slices_are_halved_less_often() -> None:
    strides = [[2, 2, 1], 2]
    network = AttentionUNet(
        3, 1, 2, channels=(4, 8, 8), levels={"strides": strides}, attention="pam", spatial_size=(16, 16, 6)
    )
    assert network(torch.randn(1, 1, 16, 16, 6)).shape == (1, 2, 16, 16, 6)
    assert network.min_size == [4, 4, 2]
    with pytest.raises(ValueError, match=r"need at least \[4, 4, 2\] voxels, got \[16, 3, 6\]"):
        network(torch.randn(1, 1, 16, 3, 6))


def test_default_strides_give_the_same_weights_and_numbers() -> None:
    options = {"channels": (4, 8, 8), "attention": "pam", "spatial_size": (8, 8, 8)}
    plain = AttentionUNet(3, 1, 2, **options)
    named = AttentionUNet(3, 1, 2, levels={"strides": [2, [2, 2, 2]]}, **options)
    named.load_state_dict(plain.state_dict())
    x = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(plain(x), named(x))


def test_a_transposed_convolution_has_the_stride_of_its_level() -> None:
    options = {"levels": {"strides": [[2, 2, 1]]}, "decoder": {"upsample": "deconv"}, "attention": None}
    network = AttentionUNet(3, 1, 2, channels=(4, 8), **options)
    assert network.upsamples[0].deconv.stride == (2, 2, 1)
    assert network(torch.randn(1, 1, 8, 8, 3)).shape == (1, 2, 8, 8, 3)


@pytest.mark.parametrize("strides", [[2], [2, [2, 2]], [2, 0], [[2, 2, 2.5], 2]])
def test_strides_must_fit_levels_and_axes(strides: list[object]) -> None:
    with pytest.raises(ValueError, match=r"must be 2 numbers, or lists of 3, for 3 levels"):
        AttentionUNet(3, 1, 2, channels=(4, 8, 8), levels={"strides": strides}, attention=None)
