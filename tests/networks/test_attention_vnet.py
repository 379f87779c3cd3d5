"""The attention V-Net; what it shares with other networks is tested in ``test_conv_adn.py``."""

from __future__ import annotations

import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.nn import functional

from bundle import ROOT
from bundle.attention import ProgressiveAttention, SqueezeExcitation
from bundle.networks import AttentionVNet


def test_default_network_has_the_published_number_of_parameters() -> None:
    parameters = sum(parameter.numel() for parameter in AttentionVNet(3, 1, 4, attention=None).parameters())
    assert round(parameters / 1e6, 2) == 6.88


def test_every_level_of_encoder_and_decoder_ends_in_attention_for_its_size() -> None:
    network = AttentionVNet(3, 1, 4, spatial_size=(64, 48, 40))
    gates = [level.attention for level in (*network.encoders, *network.decoders)]
    assert all(isinstance(gate, ProgressiveAttention) for gate in gates)
    assert [gate.slice.slices for gate in gates] == [40, 20, 10, 5, 5, 10, 20, 40]
    assert [gate.slice.weight1.shape[0] for gate in gates] == [8, 16, 32, 64, 64, 32, 16, 8]


def test_bottleneck_has_channel_attention_exactly_where_the_levels_have_attention() -> None:
    assert isinstance(AttentionVNet(3, 1, 4, spatial_size=(32, 32, 32)).bottleneck[-1], SqueezeExcitation)
    assert isinstance(AttentionVNet(3, 1, 4, attention=None).bottleneck[-1], nn.Identity)
    assert isinstance(AttentionVNet(3, 1, 4, attention="null").bottleneck[-1], nn.Identity)


def test_levels_have_their_numbers_of_convolutions() -> None:
    options = {"levels": {"convs": (1, 3, 2)}, "bottleneck": {"convs": 2}, "attention": None}
    network = AttentionVNet(2, 1, 2, channels=(2, 4, 4, 8), **options)
    assert [len(level.convs) for level in network.encoders] == [1, 3, 2]
    assert [len(level.convs) for level in network.decoders] == [2, 3, 1]
    assert len(network.bottleneck[0]) == 2


def test_network_is_residual_levels_between_strided_convolutions() -> None:
    """Two levels, spelled out with torch's own functions; activation and norm are omitted from the convolutions."""
    torch.manual_seed(0)
    options = {"channels": (4, 6), "levels": {"convs": (2,), "kernel_size": 3}, "norm": None, "act": "relu"}
    network = AttentionVNet(2, 1, 3, attention="se", **options)
    state = network.state_dict()

    def conv(x: torch.Tensor, name: str, **kwargs: int) -> torch.Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **kwargs)

    def excite(x: torch.Tensor, name: str) -> torch.Tensor:
        hidden = x.mean((2, 3)) @ state[f"{name}.channel.fc.0.weight"].T + state[f"{name}.channel.fc.0.bias"]
        logits = hidden.relu() @ state[f"{name}.channel.fc.2.weight"].T + state[f"{name}.channel.fc.2.bias"]
        return x * logits.sigmoid()[..., None, None]

    def level(x: torch.Tensor, shortcut: torch.Tensor, name: str) -> torch.Tensor:
        inner = conv(conv(x, f"{name}.convs.0.0", padding=1).relu(), f"{name}.convs.1.0", padding=1)
        return excite((inner + shortcut).relu(), f"{name}.attention")

    x = torch.randn(2, 1, 8, 10)
    skip = level(x, x, "encoders.0")
    below = conv(skip, "downs.0.0", stride=2).relu()
    below = excite(conv(below, "bottleneck.0.0.0", padding=1).relu(), "bottleneck.1")
    weight, bias = state["upsamples.0.deconv.weight"], state["upsamples.0.deconv.bias"]
    up = functional.conv_transpose2d(below, weight, bias, stride=2)
    wanted = conv(level(torch.cat([skip, up], dim=1), up, "decoders.0"), "heads.0")
    torch.testing.assert_close(network(x), wanted)


def test_shortcut_of_the_input_is_projected_only_where_it_does_not_fit() -> None:
    for in_channels, kind in ((1, nn.Identity), (4, nn.Identity), (2, nn.Conv3d), (8, nn.Conv3d)):
        network = AttentionVNet(3, in_channels, 2, channels=(4, 8), levels={"convs": (1,)}, attention=None)
        assert isinstance(network.encoders[0].shortcut, kind)


def test_overlay_swaps_the_network_of_the_training_config() -> None:
    files = [f"{ROOT}/configs/train.json", f"{ROOT}/configs/networks/vnet.json"]
    plain, swapped = ConfigParser(), ConfigParser()
    plain.read_config(files[:1])
    swapped.read_config(files)
    swapped["roi_size"], swapped["attention"] = [32, 32, 24], "sca"
    network = swapped.get_parsed_content("network_def")
    assert isinstance(network, AttentionVNet)
    assert network.decoders[-1].attention.slice.slices == 24
    for key in ("spatial_dims", "in_channels", "out_channels"):
        assert swapped[f"network_def#{key}"] == plain[f"network_def#{key}"]
