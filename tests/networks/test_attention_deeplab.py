"""Attention DeepLabV3+; what it shares with other networks is tested by the contract of the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.options import with_options
from monai.networks.layers.factories import Act
from torch import nn
from torch.nn import functional

from bundle.networks.attention_deeplab import AttentionDeepLabV3Plus
from bundle.networks.backbones.pretrained import load_pretrained
from bundle.networks.backbones.resnet import ResNetTrunk

TRUNKS: dict[str, Any] = {
    "resnet": ("resnet", {"depth": [1, 1, 1, 1], "width": 1 / 16}),
    "xception": ("xception", {"middle_blocks": 1, "width": 1 / 16}),
}
NARROW: dict[str, Any] = {
    "aspp": {"channels": 8, "reduction": 1},
    "decoder": {"low_channels": 4, "channels": 8, "head_channels": 8},
    "norm": "instance",
}
PUBLISHED = 57_248_421
"""Trainable parameters of the authors' network."""

every_trunk = pytest.mark.parametrize("trunk", TRUNKS.values(), ids=TRUNKS)


def build(trunk: Any = TRUNKS["xception"], in_channels: int = 3, **options: Any) -> AttentionDeepLabV3Plus:
    torch.manual_seed(0)
    return AttentionDeepLabV3Plus(2, in_channels, 1, trunk=trunk, **with_options(NARROW, options))


def test_number_of_parameters_is_the_published_one_except_for_the_differences_in_the_docstring() -> None:
    with torch.device("meta"):
        network = AttentionDeepLabV3Plus(2, 3, 1)
    bias_for_norm = 256 - 2 * 256
    head_without_the_pair = 64 + 1 - (64 * 2 * 9 + 2 + 2 + 1)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PUBLISHED + bias_for_norm + head_without_the_pair
    assert f"{count / 1e6:.2f}" == "57.25"


def test_maps_of_an_image_of_256_are_those_of_the_definition() -> None:
    with torch.device("meta"):
        network = AttentionDeepLabV3Plus(2, 3, 1).eval()
        x = torch.empty(1, 3, 256, 256)
    features = network.trunk(x)
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (64, 128, 128),
        (256, 64, 64),
        (256, 32, 32),
        (728, 16, 16),
        (2048, 16, 16),
    ]
    assert [level.shape[1:] for level in network.pyramid.pyramid(features[4])] == [(256, 16, 16)] * 5
    assert [branch[0][0].dilation[0] for branch in network.pyramid.branches[1:]] == [6, 12, 18]
    assert network(x).shape == (1, 1, 256, 256)


@every_trunk
def test_image_of_256_gives_probabilities_that_are_not_constant(trunk: Any) -> None:
    probabilities = torch.sigmoid(build(trunk).eval()(torch.rand(1, 3, 256, 256)))
    assert probabilities.shape == (1, 1, 256, 256)
    assert (probabilities > 0).all()
    assert (probabilities < 1).all()
    assert probabilities.std() > 0


@every_trunk
def test_decoder_joins_the_refined_pyramid_and_the_feature_at_stride_4(trunk: Any) -> None:
    network, x = build(trunk).double().eval(), torch.rand(1, 3, 37, 50).double()
    features, state = network.trunk(x), network.state_dict()
    y = network.pyramid(features[-1])
    for name in ("refine.0.0", "refine.1.0"):
        y = functional.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).clamp(min=0)
    variance, mean = torch.var_mean(y, (2, 3), correction=0, keepdim=True)
    y = ((y - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    resize = {"mode": "bilinear", "align_corners": False}
    wide = functional.interpolate(y, features[1].shape[2:], **resize)
    y = network.decoder[:2](torch.cat([wide, network.low(features[1])], dim=1))
    for name in ("decoder.2.0", "decoder.3.0"):
        y = functional.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).clamp(min=0)
    logits = functional.conv2d(y, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(network(x), functional.interpolate(logits, x.shape[2:], **resize), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_rates_double_at_output_stride_8_and_can_be_named(output_stride: int, rates: list[int]) -> None:
    def dilations(network: AttentionDeepLabV3Plus) -> list[int]:
        return [branch[0][0].dilation[0] for branch in network.pyramid.branches[1:]]

    assert dilations(build(output_stride=output_stride)) == rates
    assert dilations(build(output_stride=output_stride, **{"aspp#rates": [2, 3]})) == [2, 3]


@every_trunk
def test_gradients_reach_every_parameter_with_the_published_norm_and_dropout(trunk: Any) -> None:
    network = build(trunk, norm="batch", **{"aspp#channels": 16})
    network(torch.rand(2, 3, 48, 48)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@every_trunk
def test_named_activation_is_the_only_one(trunk: Any) -> None:
    kinds = {type(module) for module in build(trunk, act="mish", norm="batch").modules()}
    assert Act["mish"] in kinds
    assert nn.ReLU not in kinds


@pytest.mark.parametrize("option", ["dropout", "aspp#dropout"])
def test_either_dropout_is_really_used(option: str) -> None:
    off: dict[str, Any] = {"dropout": None, "aspp#dropout": None}
    x = torch.rand(1, 3, 32, 32)
    network = build(**off)
    assert torch.equal(network(x), network(x))
    network = build(**{**off, option: 0.5})
    assert not torch.equal(network(x), network(x))


def test_weights_of_torchvision_load_into_the_trunk(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = ResNetTrunk(2, 3, **TRUNKS["resnet"][1]).state_dict()
    torch.save({**source, "fc.weight": torch.zeros(5, 128), "fc.bias": torch.zeros(5)}, tmp_path / "resnet.pth")
    network = build(TRUNKS["resnet"], norm="batch", attention="se")
    load_pretrained(network, tmp_path / "resnet.pth")
    assert all(torch.equal(network.trunk.state_dict()[key], value) for key, value in source.items())


@pytest.mark.parametrize(
    "option", ["aspp#channels", "decoder#low_channels", "decoder#channels", "decoder#head_channels"]
)
def test_widths_must_be_positive(option: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be at least 1, got 0"):
        build(**{option: 0})


def test_unknown_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^output_stride must be one of 8, 16, got 32"):
        build(output_stride=32)
