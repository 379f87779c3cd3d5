"""DenseUNet; what it shares with other networks is tested in ``test_network_factory.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.options import with_options
from monai.networks.nets import DenseNet
from torch import nn
from torch.nn import functional

from bundle.attention import ProgressiveAttention
from bundle.networks.denseunet import DenseUNet

SMALL: dict[str, Any] = {
    "layers": {"blocks": (2, 1, 3), "growth": 4, "stem": 6, "decoder": (8, 7, 6, 5)},
    "dropout": 0.0,
}
DENSENET_161 = 28_681_000 - (2208 * 1000 + 1000)


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def capture(network: nn.Module, modules: list[nn.Module], x: torch.Tensor) -> list[torch.Tensor]:
    """Return the outputs of modules in a run of a network, then its own."""
    outputs: list[torch.Tensor] = []
    for module in modules:
        module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    outputs.append(network(x))
    return outputs


def test_default_encoder_has_the_parameters_of_densenet_161() -> None:
    with torch.device("meta"):
        features = DenseUNet(2, 3, 3).features
    assert count(features.stem, features.blocks, features.transitions) == DENSENET_161


def test_default_decoder_has_the_parameters_of_the_original() -> None:
    with torch.device("meta"):
        network = DenseUNet(2, 3, 3)
    convs = 9 * (2208 * 768 + 768 * 384 + 384 * 96 + 96 * 96 + 96 * 64)
    norms, shortcut, head = 2 * (768 + 384 + 96 + 96 + 64), 2112 * 2208 + 2208, 64 * 3 + 3
    assert count(network) == DENSENET_161 + convs + norms + shortcut + head


@pytest.mark.parametrize("dims", [2, 3])
def test_encoder_equals_the_densenet_of_monai(dims: int) -> None:
    torch.manual_seed(0)
    peer = DenseNet(dims, 2, 1, init_features=6, growth_rate=4, block_config=(2, 1, 3)).double().train()
    network = DenseUNet(dims, 2, 3, **SMALL).double().train()
    features = network.features
    parts = [features.stem]
    for block, transition in zip(features.blocks, features.transitions, strict=True):
        parts += [block, transition]
    own = [parameter for part in parts for parameter in part.parameters()]
    others = list(peer.features.parameters())
    assert [value.shape for value in own] == [value.shape for value in others]
    with torch.no_grad():
        for value, other in zip(own, others, strict=True):
            value.copy_(torch.randn_like(other))
            other.copy_(value)
        x = torch.randn(2, 2, *[33, 32, 36][:dims], dtype=torch.float64)
        encoded, _ = capture(network, [features.transitions[-1]], x)
        torch.testing.assert_close(encoded, peer.features(x).clamp_min(0), rtol=1e-9, atol=1e-9)


def test_decoder_adds_the_encoder_to_the_enlarged_map_before_every_convolution() -> None:
    torch.manual_seed(0)
    network = DenseUNet(2, 1, 3, **SMALL).double().train()
    features, state = network.features, network.state_dict()
    watched = [features.stem, *features.gates[:-1], features.transitions[-1]]
    x = torch.randn(2, 1, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        *skips, y, logits = capture(network, watched, x)
    names = ["convs.0", "convs.1", "convs.2", "last"]
    for number, name in enumerate(names):
        y = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if name != "last":
            skip = skips.pop()
            if skip.shape[1] != y.shape[1]:
                weight, bias = (state[f"features.projections.{number}.{key}"] for key in ("weight", "bias"))
                skip = functional.conv2d(skip, weight, bias)
            y = y + skip
        weight, bias = (state[f"features.{name}.2.N.{key}"] for key in ("weight", "bias"))
        y = functional.conv2d(y, state[f"features.{name}.0.weight"], padding=1)
        y = functional.batch_norm(y, None, None, weight, bias, training=True).clamp_min(0)
    wanted = functional.conv2d(y, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-10)


def test_shortcut_is_projected_only_where_the_widths_differ() -> None:
    with torch.device("meta"):
        projections = DenseUNet(2, 3, 3).features.projections
    assert [type(project) for project in projections] == [nn.Conv2d, nn.Identity, nn.Identity, nn.Identity]


@pytest.mark.parametrize(("slice_dim", "slices"), [(None, [10, 5, 2]), (-1, [10, 10, 10]), (0, [10, 5, 2])])
def test_every_block_ends_in_attention_for_its_size(slice_dim: int | None, slices: list[int]) -> None:
    options = {**SMALL, "attention": "pam", "spatial_size": (64, 48, 40), "slice_dim": slice_dim}
    gates = [gate.layer for gate in DenseUNet(3, 1, 2, **options).features.gates]
    assert all(isinstance(gate, ProgressiveAttention) for gate in gates)
    assert [gate.slice.slices for gate in gates] == slices
    assert [gate.slice.weight1.shape[0] for gate in gates] == [14, 11, 17]


def test_axis_of_the_slices_is_not_pooled_by_transitions_and_may_be_short() -> None:
    network = DenseUNet(3, 1, 2, slice_dim=-1, **SMALL).eval()
    encoded, logits = capture(network, [network.features.transitions[-1]], torch.randn(1, 1, 32, 16, 5))
    assert encoded.shape == (1, 17, 2, 1, 2)
    assert logits.shape == (1, 2, 32, 16, 5)
    with pytest.raises(ValueError, match=r"every spatial axis needs at least 16 voxels \(except axis 2"):
        network(torch.randn(1, 1, 32, 15, 5))


def test_without_an_axis_of_slices_no_axis_may_be_short() -> None:
    with pytest.raises(ValueError, match=r"every spatial axis needs at least 16 voxels, got \[32, 16, 5\]"):
        DenseUNet(3, 1, 2, **SMALL)(torch.randn(1, 1, 32, 16, 5))


def test_dropout_follows_the_last_convolution() -> None:
    network = DenseUNet(2, 1, 2, **{**SMALL, "dropout": 0.3})
    assert network.features.last[1].p == 0.3
    assert {conv[1].p for conv in network.features.convs} == {0}


def test_strong_compression_leaves_a_channel() -> None:
    network = DenseUNet(2, 1, 2, **with_options(SMALL, {"layers#compression": 0.01}))
    assert network(torch.randn(2, 1, 32, 32)).shape == (2, 2, 32, 32)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layers#blocks", []),
        ("layers#blocks", [1, 0, 1]),
        ("layers#growth", 0),
        ("layers#stem", 0),
        ("layers#decoder", [8, 8]),
        ("layers#decoder", [8, 8, 8, 0]),
        ("layers#compression", 0),
        ("layers#compression", 1.5),
        ("layers#bottleneck", 0),
        ("slice_dim", 3),
        ("dropout", 1),
    ],
)
def test_bad_option_is_refused_by_its_name(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} "):
        DenseUNet(3, 1, 2, **with_options(SMALL, {key: value}))


def test_only_images_and_volumes_are_taken() -> None:
    with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 1"):
        DenseUNet(1, 1, 2)
