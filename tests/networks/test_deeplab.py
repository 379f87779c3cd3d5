"""DeepLabV3+; what it shares with other networks is tested by the contract of the networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.attention import scripts
from helpers.options import with_options
from monai.networks.layers.factories import Act
from torch import nn
from torch.nn import functional

from bundle.attention import SqueezeExcitation
from bundle.networks.blocks.convolution import SeparableConv
from bundle.networks.deeplab import DeepLabV3Plus

TRUNKS: dict[str, Any] = {
    "resnet": ("resnet", {"depth": [1, 1, 1, 1], "width": 1 / 16}),
    "xception": ("xception", {"middle_blocks": 1, "width": 1 / 16}),
}
NARROW: dict[str, Any] = {"aspp": {"channels": 8}, "decoder": {"low_channels": 4, "channels": 8}, "norm": "instance"}
SEPARABLE = {"aspp#separable": True, "decoder#separable": True}

every_trunk = pytest.mark.parametrize("trunk", TRUNKS.values(), ids=TRUNKS)
both_dims = pytest.mark.parametrize("dims", [2, 3])


def build(dims: int, trunk: Any = TRUNKS["resnet"], **options: Any) -> DeepLabV3Plus:
    torch.manual_seed(0)
    return DeepLabV3Plus(dims, 1, 3, trunk=trunk, **with_options(NARROW, options))


def sample(dims: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 1, *[33, 37, 35][:dims])


@pytest.mark.parametrize(("trunk", "millions"), [("resnet", "40.35"), ("xception", "54.71")])
def test_default_network_has_the_known_number_of_parameters(trunk: str, millions: str) -> None:
    with torch.device("meta"):
        network = DeepLabV3Plus(2, 3, 1, trunk=trunk)
    assert f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f}" == millions


@pytest.mark.parametrize(("trunk", "low"), [("resnet", 256), ("xception", 256)])
def test_widths_are_those_of_the_paper(trunk: str, low: int) -> None:
    with torch.device("meta"):
        network = DeepLabV3Plus(2, 3, 21, trunk=trunk)
    convs = [network.low[0], network.aspp.project[0], *(layer[0] for layer in network.decoder), network.head]
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [
        (low, 48),
        (1280, 256),
        (304, 256),
        (256, 256),
        (256, 21),
    ]


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_rates_double_at_output_stride_8_and_can_be_named(output_stride: int, rates: list[int]) -> None:
    def dilations(network: DeepLabV3Plus) -> list[int]:
        return [branch[0].dilation[0] for branch in network.aspp.branches]

    assert dilations(build(2, output_stride=output_stride)) == [1, *rates]
    assert dilations(build(2, output_stride=output_stride, **{"aspp#rates": [2, 3]})) == [1, 2, 3]


@every_trunk
def test_decoder_joins_the_pyramid_and_the_feature_at_stride_4(trunk: Any) -> None:
    network, x = build(2, trunk).eval(), sample(2)
    features = network.trunk(x)
    resize = {"mode": "bilinear", "align_corners": False}
    wide = functional.interpolate(network.aspp(features[-1]), features[1].shape[2:], **resize)
    logits = network.head(network.decoder(torch.cat([wide, network.low(features[1])], dim=1)))
    torch.testing.assert_close(network(x), functional.interpolate(logits, x.shape[2:], **resize))


@scripts
@every_trunk
@both_dims
@pytest.mark.parametrize("options", [{"output_stride": 8}, {**SEPARABLE, "act": "prelu", "attention": "se"}])
def test_script_equals_eager(dims: int, trunk: Any, options: dict[str, Any]) -> None:
    network, x = build(dims, trunk, **options).eval(), sample(dims)
    assert network(x).shape == (1, 3, *x.shape[2:])
    torch.testing.assert_close(torch.jit.script(network)(x), network(x), rtol=1e-4, atol=1e-5)


@every_trunk
def test_gradients_reach_the_input_and_every_parameter_with_the_published_norm(trunk: Any) -> None:
    network, x = build(2, trunk, norm="batch", attention=("se", {"reduction": 1})), sample(2).requires_grad_()
    network(x).square().mean().backward()
    for name, tensor in [("input", x), *network.named_parameters()]:
        assert tensor.grad is not None, name
        assert tensor.grad.any(), name


def test_export_with_the_other_trunk_equals_eager() -> None:
    network, x = build(2, TRUNKS["xception"], attention="se").eval(), sample(2)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)


@every_trunk
def test_named_activation_is_the_only_one(trunk: Any) -> None:
    network = build(2, trunk, act="mish", norm="batch")
    kinds = {type(module) for module in network.modules()}
    assert Act["mish"] in kinds
    assert nn.ReLU not in kinds


def test_pyramid_and_decoder_have_separable_convolutions() -> None:
    network = build(2, **SEPARABLE)
    assert all(isinstance(layer, SeparableConv) for layer in (*network.aspp.branches[1:], *network.decoder))


def test_attention_follows_every_feature_of_the_trunk() -> None:
    gates = build(2, attention=("se", {"reduction": 1})).trunk.gates
    assert len(gates) == 5
    assert all(isinstance(gate, SqueezeExcitation) for gate in gates)


def test_too_small_input_is_refused() -> None:
    with pytest.raises(ValueError, match="every spatial axis needs at least 16 voxels"):
        build(2)(torch.randn(1, 1, 15, 40))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("trunk", "vgg"),
        ("trunk", "densenet"),
        ("trunk", ["resnet"]),
        ("trunk", ["resnet", {"output_stride": 8}]),
        ("depth", 7),
        ("output_stride", 32),
        ("output_stride", 4),
        ("aspp#rates", []),
        ("aspp#channels", 0),
        ("decoder#low_channels", 0),
        ("decoder#channels", -1),
        ("decoder#width", 8),
        ("dropout", 1.5),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    options = {"trunk": ("resnet", {"depth": value})} if option == "depth" else {option: value}
    with pytest.raises(ValueError, match=f"^({option}|{option.split('#')[0]}|{option.split('#')[-1]}) "):
        build(2, **options)
