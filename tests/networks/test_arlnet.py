"""The attention residual learning network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.attention import scripts
from contracts.literal import assert_same_function
from monai.networks.nets import resnet18, resnet50
from torch import nn

from bundle.networks.arlnet import ARLNet, AttentionResidual, AttentionResidualBlock
from bundle.networks.backbones.pretrained import load_pretrained
from bundle.networks.backbones.resnet import ResNetTrunk

BLOCKS = {14: 4, 18: 8, 34: 16, 50: 16, 101: 33, 152: 50}
TINY: dict[str, Any] = {"depth": [1, 2, 1, 1], "width": 1 / 16}


def build(dims: int = 2, **options: Any) -> ARLNet:
    torch.manual_seed(0)
    return ARLNet(dims, 3, 2, **{**TINY, **options})


def literal_residual(module: Any, feature: torch.Tensor, shortcut: torch.Tensor, spatial: bool) -> torch.Tensor:
    """Compute the sum voxel by voxel."""
    y = torch.zeros_like(feature)
    for sample in range(feature.size(0)):
        for channel in range(feature.size(1)):
            for row in range(feature.size(2)):
                for column in range(feature.size(3)):
                    rivals = feature[sample, channel] if spatial else feature[sample, :, row, column]
                    value, other = feature[sample, channel, row, column], shortcut[sample, channel, row, column]
                    gate = torch.exp(value) / torch.exp(rivals).sum()
                    y[sample, channel, row, column] = value + other + module.alpha * gate * other
    return y


class OfOneMap(nn.Module):
    """The sum as a function of the feature, for a fixed shortcut."""

    def __init__(self, residual: AttentionResidual, shortcut: torch.Tensor) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.residual(x, self.shortcut)


@pytest.mark.parametrize("normalize", ["spatial", "channel"])
def test_attention_residual_is_that_of_the_definition(normalize: str) -> None:
    torch.manual_seed(0)
    residual = AttentionResidual(normalize=normalize, alpha_init=0.7).double()
    feature, shortcut = torch.randn(2, 3, 4, 5).double(), torch.randn(2, 3, 4, 5).double()
    assert_same_function(
        OfOneMap(residual, shortcut),
        lambda y: literal_residual(residual, y, shortcut, normalize == "spatial"),
        feature,
    )


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("normalize", ["spatial", "channel"])
def test_block_is_that_of_the_definition(block: str, normalize: str) -> None:
    plain = ResNetTrunk(2, 3, block=block, **TINY).double().eval()
    network = build(block=block, normalize=normalize, alpha_init=0.5).double().eval()
    network.trunk.load_state_dict(plain.state_dict(), strict=False)
    last = "bn3" if block == "bottleneck" else "bn2"
    for index in (0, 1):
        ours, theirs = network.trunk.layer2[index], plain.layer2[index]
        assert isinstance(ours, AttentionResidualBlock)
        x = torch.randn(2, theirs.conv1.in_channels, 5, 4).double()
        features: list[torch.Tensor] = []
        hook = getattr(theirs, last).register_forward_hook(
            lambda module, inputs, output, kept=features: kept.append(output.clone())
        )
        theirs(x)
        hook.remove()
        shortcut = x if theirs.downsample is None else theirs.downsample(x)
        wanted = literal_residual(ours.attention, features[0], shortcut, normalize == "spatial").clamp(min=0)
        torch.testing.assert_close(ours(x), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", BLOCKS)
def test_every_depth_is_built_and_has_one_weight_a_block(depth: int) -> None:
    with torch.device("meta"):
        network = ARLNet(2, 3, 1, depth=depth).eval()
        assert network(torch.empty(2, 3, 224, 224)).shape == (2, 1)
    gates = [module for module in network.modules() if isinstance(module, AttentionResidual)]
    assert len(gates) == BLOCKS[depth]
    assert len({id(gate.alpha) for gate in gates}) == BLOCKS[depth]


@pytest.mark.parametrize(("depth", "published"), [(14, 8_017_985), (50, 23_510_081)])
def test_number_of_parameters_is_that_of_the_resnet_and_the_gates(depth: int, published: int) -> None:
    with torch.device("meta"):
        network, fixed = (ARLNet(2, 3, 1, depth=depth, learnable_alpha=learnable) for learnable in (True, False))
    assert sum(parameter.numel() for parameter in network.parameters()) == published + BLOCKS[depth]
    assert sum(parameter.numel() for parameter in fixed.parameters()) == published


@pytest.mark.parametrize(("depth", "peer"), [(18, resnet18), (50, resnet50)])
def test_without_gates_it_is_the_resnet_of_monai(depth: int, peer: Any) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"shortcut_type": "B", "bias_downsample": False, "conv1_t_stride": 2}
    theirs = peer(spatial_dims=2, n_input_channels=3, num_classes=2, **options).eval()
    ours = ARLNet(2, 3, 2, depth=depth, alpha_init=0.0).eval()
    state = theirs.state_dict()
    ours.trunk.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")}, strict=False)
    ours.fc.load_state_dict({key.removeprefix("fc."): value for key, value in state.items() if key.startswith("fc.")})
    x = torch.randn(1, 3, 64, 65)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_efficientnet_lite_has_gates_in_its_blocks_with_a_shortcut() -> None:
    network = build(trunk=("efficientnet_lite0", {"width": 0.25}), alpha_init=0.5)
    assert network.alphas() == [0.5] * 9
    assert network.fc.in_features == 320
    plain = build(trunk=("efficientnet_lite0", {"width": 0.25}), normalize=None).eval()
    assert plain.alphas() == []
    network = build(trunk=("efficientnet_lite0", {"width": 0.25}), alpha_init=0.0).eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(network(x), plain(x))
    torch.testing.assert_close(plain(x), plain.fc(plain.trunk(x)[-1].mean((2, 3))))


def test_a_resnet_without_gates_is_plain() -> None:
    assert build(normalize=None).alphas() == []
    with pytest.raises(ValueError, match=r"^trunk must be one of efficientnet_lite0"):
        build(trunk="vgg")


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("size", [[32, 33, 35], [64, 40, 34]])
def test_any_size_gives_one_row_of_logits_a_sample(dims: int, size: list[int]) -> None:
    x = torch.randn(2, 3, *size[:dims])
    assert build(dims)(x).shape == (2, 2)
    with pytest.raises(ValueError, match="every spatial axis needs at least 32 voxels"):
        build(dims)(x[:, :, :31])


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_training_moves_the_weights_of_the_gates_which_can_be_reported(block: str) -> None:
    network = build(block=block)
    assert network.alphas() == pytest.approx([0.001] * 5)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    nn.functional.cross_entropy(network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 0, 1])).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    optimizer.step()
    assert all(alpha != pytest.approx(0.001, abs=1e-9) for alpha in network.alphas())


def test_weight_of_a_gate_that_is_not_learned_is_kept_with_the_network() -> None:
    network, other = build(learnable_alpha=False, alpha_init=0.25), build(learnable_alpha=False)
    other.load_state_dict(network.state_dict())
    assert other.alphas() == [0.25] * 5
    assert not any("alpha" in name for name, _ in other.named_parameters())


def test_batch_of_three_is_three_single_runs() -> None:
    network, x = build().double().eval(), torch.randn(3, 3, 40, 48).double()
    single = torch.cat([network(x[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(network(x), single, rtol=0, atol=1e-11)


@scripts
@pytest.mark.parametrize("options", [{}, {"block": "basic", "normalize": "channel", "learnable_alpha": False}])
def test_script_and_export_equal_eager(options: dict[str, Any]) -> None:
    network, x = build(alpha_init=0.5, **options).eval(), torch.randn(2, 3, 33, 47)
    torch.testing.assert_close(torch.jit.script(network)(x), network(x), rtol=1e-4, atol=1e-5)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)


def test_autocast_runs_and_trains() -> None:
    network, x = build(), torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(x)
    logits.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_weights_of_torchvision_load_into_all_layers_except_the_gates_and_the_last(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = ResNetTrunk(2, 3, **TINY).state_dict()
    torch.save({**source, "fc.weight": torch.zeros(5, 128), "fc.bias": torch.zeros(5)}, tmp_path / "resnet.pth")
    network = build(alpha_init=0.5)
    head = network.fc.weight.clone()
    assert load_pretrained(network, tmp_path / "resnet.pth") is network
    assert all(torch.equal(network.trunk.state_dict()[key], value) for key, value in source.items())
    assert network.alphas() == [0.5] * 5
    assert torch.equal(network.fc.weight, head)


def test_activation_normalization_and_dropout_can_be_named() -> None:
    network, x = build(act="elu", norm=("group", {"num_groups": 2}), dropout=0.5), torch.randn(1, 3, 40, 40)
    kinds = {type(module) for module in network.modules()}
    assert {nn.ELU, nn.GroupNorm} <= kinds
    assert not kinds & {nn.ReLU, nn.BatchNorm2d}
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize(
    ("option", "value"),
    [("depth", 51), ("depth", [1, 1]), ("block", "dense"), ("width", 0), ("normalize", "softmax"), ("dropout", 2.0)],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        build(**{option: value})


def test_the_text_null_of_a_command_line_stands_for_no_trunk_and_no_gates() -> None:
    network = ARLNet(2, 3, 2, trunk="null", normalize="null", depth=14, width=0.0625)
    assert isinstance(network.trunk, ResNetTrunk)
    assert network.alphas() == []
