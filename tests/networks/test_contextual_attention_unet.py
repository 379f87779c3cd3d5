"""Contextual attention U-Net; what it shares with other networks is tested by the contract of the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.attention import scripts
from helpers.options import with_options
from torch import nn
from torch.nn import functional

from bundle.losses import ContextualLoss
from bundle.networks.backbones.pretrained import load_pretrained
from bundle.networks.backbones.resnet import ResNetTrunk
from bundle.networks.contextual_attention_unet import ContextualAttentionUNet

TRUNK: dict[str, Any] = {"depth": [1, 1, 1, 1], "width": 1 / 16}
SMALL: dict[str, Any] = {
    "trunk": ("resnet", TRUNK),
    "decoder": {"channels": [8, 8, 8, 8, 8]},
    "transformer": {"patch_size": 8, "channels": [4, 8], "depth": 1, "heads": 2},
    "head": {"context_channels": 4, "boundary_channels": 4},
    "attention": ("se", {"reduction": 1}),
}
PUBLISHED = 165_165_953
"""Parameters of the authors' network."""


def build(dims: int = 2, **options: Any) -> ContextualAttentionUNet:
    torch.manual_seed(0)
    return ContextualAttentionUNet(dims, 3, 1, **with_options(SMALL, {"spatial_size": [64] * dims, **options}))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_number_of_parameters_is_the_published_one_except_for_the_biases_of_the_gate() -> None:
    with torch.device("meta"):
        network, bare = ContextualAttentionUNet(2, 3, 1), ContextualAttentionUNet(2, 3, 1, decoder={"bridge": False})
    assert count(network) == PUBLISHED + 64 + 4
    assert f"{count(network) / 1e6:.2f}" == "165.17"
    assert f"{count(bare) / 1e6:.2f}" == "89.66"
    assert (count(network.trunk), count(network.bridge)) == (23_508_032, 75_509_760)


def test_maps_of_an_image_of_256_are_those_of_the_definition() -> None:
    with torch.device("meta"):
        network, x = ContextualAttentionUNet(2, 3, 1, auxiliary=True), torch.empty(1, 3, 256, 256)
    shapes: list[tuple[int, ...]] = []
    for decoder in network.decoders:
        decoder.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    mask, boundary, regions = network(x)
    assert shapes == [(1024, 16, 16), (512, 32, 32), (256, 64, 64), (128, 128, 128), (64, 256, 256)]
    assert network.transformer(x).shape == (1, 512, 16, 16)
    assert mask.shape == boundary.shape == (1, 1, 256, 256)
    assert regions.shape == (1, 1, 16, 16)
    assert network.eval()(x).shape == (1, 1, 256, 256)


def test_image_of_256_gives_probabilities_that_are_not_constant() -> None:
    probabilities = torch.sigmoid(build(**{"transformer#patch_size": 16}).eval()(torch.rand(1, 3, 256, 256)))
    assert probabilities.shape == (1, 1, 256, 256)
    assert (probabilities > 0).all()
    assert (probabilities < 1).all()
    assert probabilities.std() > 0


@pytest.mark.parametrize("bridge", [True, False])
def test_decoder_joins_transposed_convolutions_and_the_features_of_the_trunk(bridge: bool) -> None:
    network, x = build(**{"decoder#bridge": bridge}).double().eval(), torch.rand(1, 3, 64, 96).double()
    state, eps = network.state_dict(), 1e-5

    def conv_stack(y: torch.Tensor, name: str) -> torch.Tensor:
        for index in (0, 1):
            weight, bias = state[f"{name}.{index}.0.weight"], state[f"{name}.{index}.0.bias"]
            y = (functional.conv2d(y, weight, bias, padding=1) / (1 + eps) ** 0.5).clamp(min=0)
        return y

    features = network.trunk(x)
    y = conv_stack(features[4], "bridge") if bridge else features[4]
    for level, skip in enumerate([features[3], features[2], features[1], features[0], x]):
        weight, bias = state[f"upsamples.{level}.deconv.weight"], state[f"upsamples.{level}.deconv.bias"]
        y = conv_stack(
            torch.cat([skip, functional.conv_transpose2d(y, weight, bias, stride=2)], 1), f"decoders.{level}"
        )
    torch.testing.assert_close(network(x), network.head(y, network.transformer(x))[0], rtol=0, atol=1e-10)


def test_training_returns_the_auxiliary_logits_only_where_they_are_asked_for() -> None:
    x = torch.rand(2, 3, 40, 50)
    assert isinstance(build()(x), torch.Tensor)
    network = build(auxiliary=True)
    outputs = network(x)
    assert [tuple(logits.shape) for logits in outputs] == [(2, 1, 40, 50), (2, 1, 40, 50), (2, 1, 5, 7)]
    assert network.eval()(x).shape == (2, 1, 40, 50)


@scripts
def test_script_with_auxiliary_logits_equals_eager() -> None:
    network, x = build(auxiliary=True, norm="instance"), torch.rand(1, 3, 64, 40)
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(x), network(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scripted.eval()(x), network.eval()(x), rtol=1e-4, atol=1e-5)


def test_step_of_training_on_the_composite_loss_lowers_it() -> None:
    network, x = build(auxiliary=True), torch.rand(2, 3, 64, 64)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 16:40, 20:50] = 1
    loss_function, optimizer = ContextualLoss(patch_size=8), torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for _ in range(2):
        loss = loss_function(network(x), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert losses[1] < losses[0]


def test_weights_of_torchvision_load_into_the_trunk(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = ResNetTrunk(2, 3, **TRUNK).state_dict()
    torch.save({**source, "fc.weight": torch.zeros(5, 128), "fc.bias": torch.zeros(5)}, tmp_path / "resnet.pth")
    network = build()
    load_pretrained(network, tmp_path / "resnet.pth")
    assert all(torch.equal(network.trunk.state_dict()[key], value) for key, value in source.items())


@pytest.mark.parametrize("dims", [2, 3])
def test_xception_can_be_the_trunk_and_positions_are_made_for_256_by_default(dims: int) -> None:
    network = build(dims, trunk=("xception", {"middle_blocks": 1, "width": 1 / 32}), spatial_size=None, norm="instance")
    assert network.transformer.positions.shape[2:] == (32,) * dims
    assert network.eval()(torch.rand(1, 3, *[64, 48, 33][:dims])).shape == (1, 1, *[64, 48, 33][:dims])


@pytest.mark.parametrize("channels", [[8] * 4, [8, 8, 8, 8, 0]])
def test_decoder_has_five_positive_widths(channels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^decoder#channels needs five positive widths"):
        build(**{"decoder#channels": channels})
