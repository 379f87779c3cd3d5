"""AnatomyNet; what it shares with other networks is tested in ``test_network_factory.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.attention import ProgressiveAttention, SqueezeExcitation
from bundle.networks.anatomynet import AnatomyNet, ResidualBlock


def residual_blocks(network: nn.Module) -> list[ResidualBlock]:
    return [module for module in network.modules() if isinstance(module, ResidualBlock)]


def test_network_equals_its_literal_form() -> None:
    """Three levels in 2D with batch statistics as in training, spelled out with torch's own functions."""
    torch.manual_seed(0)
    network = AnatomyNet(2, 2, 3, channels=(4, 5, 6), attention="se").double().train()
    state = network.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = state[f"{name}.N.weight"], state[f"{name}.N.bias"]
        return functional.batch_norm(x, None, None, weight, bias, training=True)

    def conv(x: torch.Tensor, name: str, padding: int = 1, stride: int = 1) -> torch.Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)

    def excite(x: torch.Tensor, name: str) -> torch.Tensor:
        if f"{name}.channel.fc.0.weight" not in state:
            return x
        hidden = x.mean((2, 3)) @ state[f"{name}.channel.fc.0.weight"].T + state[f"{name}.channel.fc.0.bias"]
        logits = hidden.relu() @ state[f"{name}.channel.fc.2.weight"].T + state[f"{name}.channel.fc.2.bias"]
        return x * logits.sigmoid()[..., None, None]

    def block(x: torch.Tensor, name: str) -> torch.Tensor:
        y = functional.leaky_relu(norm(conv(x, f"{name}.convs.0"), f"{name}.convs.1"))
        y = excite(norm(conv(y, f"{name}.convs.3"), f"{name}.convs.4"), f"{name}.attention")
        if f"{name}.shortcut.0.weight" in state:
            x = norm(conv(x, f"{name}.shortcut.0", padding=1 if name == "last" else 0), f"{name}.shortcut.1")
        return functional.leaky_relu(x + y)

    x = torch.randn(2, 2, 11, 8, dtype=torch.float64)
    skips = [functional.leaky_relu(norm(conv(x, "stem.0", stride=2), "stem.1"))]
    for level in (0, 1):
        skips.append(block(block(skips[-1], f"encoders.{level}.0"), f"encoders.{level}.1"))
    y = skips.pop()
    for level in (0, 1):
        y = block(block(torch.cat([y, skips.pop()], dim=1), f"decoders.{level}.0"), f"decoders.{level}.1")
    up = functional.conv_transpose2d(y, state["deconv.weight"], state["deconv.bias"], stride=2)[:, :, :11, :8]
    wanted = conv(block(torch.cat([up, x], dim=1), "last"), "head")
    with torch.no_grad():
        torch.testing.assert_close(network(x), wanted, rtol=0, atol=1e-11)


def test_default_network_has_the_parameters_of_the_paper() -> None:
    def block(a: int, b: int, shortcut: int = 1, hidden: int = 0) -> int:
        project = 0 if a == b else shortcut**3 * a * b + 2 * b
        excitation = 2 * b * hidden + hidden + b if hidden else 0
        return 27 * (a * b + b * b) + 4 * b + project + excitation

    # the authors' ratio is 16 in the first block of a decoder level, where only 30 channels make a difference: 1, not 2
    encoder = block(28, 30, hidden=2) + block(30, 30, hidden=2) + block(30, 32, hidden=2) + block(32, 32, hidden=2)
    deepest = block(32, 34, hidden=2) + block(34, 34, hidden=2)
    decoder = block(66, 32, hidden=2) + block(32, 32, hidden=2) + block(62, 30, hidden=2) + block(30, 30, hidden=2)
    finest = block(58, 28, hidden=1) + block(28, 28, hidden=1)
    ends = 27 * 28 + 2 * 28 + 8 * 28 * 14 + 14 + block(15, 14, shortcut=3) + 27 * 14 * 10 + 10
    parameters = sum(parameter.numel() for parameter in AnatomyNet(3, 1, 10).parameters())
    assert parameters == encoder + deepest + decoder + finest + ends


def test_every_residual_block_except_the_last_has_attention_at_half_size() -> None:
    network = AnatomyNet(3, 1, 2, attention="pam", spatial_size=(64, 48, 37))
    *inner, last = residual_blocks(network)
    assert len(inner) == 12
    assert all(isinstance(block.attention, ProgressiveAttention) for block in inner)
    assert {block.attention.slice.slices for block in inner} == {19}
    assert isinstance(last.attention, nn.Identity)


def test_squeeze_and_excitation_is_the_default_and_none_is_a_choice() -> None:
    kinds = {type(block.attention) for block in residual_blocks(AnatomyNet(3, 1, 2))}
    assert kinds == {SqueezeExcitation, nn.Identity}
    assert {type(block.attention) for block in residual_blocks(AnatomyNet(3, 1, 2, attention=None))} == {nn.Identity}


def test_all_levels_have_half_the_size_of_the_input() -> None:
    network, sizes = AnatomyNet(3, 1, 2, channels=(4, 6, 8)).eval(), []
    for level in (network.stem, *network.encoders, *network.decoders):
        level.register_forward_hook(lambda module, inputs, output: sizes.append(list(output.shape)))
    network(torch.randn(1, 1, 12, 9, 7))
    assert sizes == [[1, width, 6, 5, 4] for width in (4, 6, 8, 6, 4)]


@pytest.mark.parametrize("blocks", [1, 3])
def test_levels_and_blocks_are_arguments(blocks: int) -> None:
    network = AnatomyNet(2, 1, 2, channels=(1, 3), blocks=blocks)
    assert {len(level) for level in (*network.encoders, *network.decoders)} == {blocks}
    assert network(torch.randn(2, 1, 9, 8)).shape == (2, 2, 9, 8)


def test_axis_of_one_voxel_is_refused() -> None:
    network = AnatomyNet(3, 1, 2).eval()
    assert network(torch.randn(1, 1, 2, 2, 3)).shape == (1, 2, 2, 2, 3)
    with pytest.raises(ValueError, match="every spatial axis needs at least 2 voxels"):
        network(torch.randn(1, 1, 2, 1, 3))


@pytest.mark.parametrize(("key", "value"), [("channels", [8]), ("channels", [8, 0]), ("blocks", 0)])
def test_bad_option_is_refused_by_its_name(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} "):
        AnatomyNet(3, 1, 2, **{key: value})


def test_only_images_and_volumes_are_taken() -> None:
    with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 1"):
        AnatomyNet(1, 1, 2)
