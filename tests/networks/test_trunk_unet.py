"""U-Net on a trunk; what it shares with other networks is tested by the contract of the networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.layers.factories import Act
from torch import nn

from bundle.attention import SqueezeExcitation
from bundle.networks.trunk_unet import TrunkUNet

TRUNKS: dict[str, Any] = {
    "efficientnet_lite0": {"width": 0.25},
    "efficientnet_lite2": {"width": 0.25},
    "resnet": {"depth": [1, 1, 1, 1], "width": 1 / 16},
    "vgg": {"width": 1 / 16},
    "xception": {"middle_blocks": 1, "width": 1 / 16},
}


def build(trunk: str = "efficientnet_lite0", dims: int = 2, **options: Any) -> TrunkUNet:
    torch.manual_seed(0)
    return TrunkUNet(dims, 3, 2, trunk=(trunk, TRUNKS[trunk]), **{"channels": [16, 8, 8, 4], **options})


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_trunk_gives_logits_of_the_size_of_the_image(trunk: str, dims: int) -> None:
    x = torch.randn(2, 3, *[33, 40, 64][:dims])
    assert build(trunk, dims)(x).shape == (2, 2, *x.shape[2:])


def test_default_network_has_the_known_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in TrunkUNet(2, 3, 1).parameters()) == 3_825_121


def test_attention_follows_every_feature_of_the_trunk() -> None:
    gates = build(attention="se").trunk.gates
    assert all(isinstance(gate, SqueezeExcitation) for gate in gates)


def test_the_trunk_keeps_its_activation_and_the_decoder_has_that_of_the_network() -> None:
    network = build(act="mish")
    assert {type(module) for module in network.trunk.modules()} >= {nn.ReLU6}
    assert {type(module) for module in network.decoders.modules()} >= {Act["mish"]}
    assert not {type(module) for module in network.trunk.modules()} & {Act["mish"]}


def test_dropout_comes_before_the_output() -> None:
    network, x = build(dropout=0.5), torch.randn(1, 3, 64, 64)
    assert isinstance(network.dropout, nn.Dropout2d)
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize(
    ("option", "value"), [("channels", [8, 8, 8]), ("channels", [8, 8, 8, 0]), ("trunk", "densenet")]
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        TrunkUNet(2, 3, 1, **{option: value})
