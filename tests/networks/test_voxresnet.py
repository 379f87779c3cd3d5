"""VoxResNet and its auto-context form; what they share with others is tested in ``test_network_factory.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.attention import scripts
from torch.nn import functional

from bundle.attention import ProgressiveAttention
from bundle.networks.voxresnet import AutoContext, VoxResNet

SMALL: dict[str, Any] = {"channels": (3, 4, 5, 6), "modules": 2}


def spell_out(network: VoxResNet, x: torch.Tensor) -> list[torch.Tensor]:
    """Compute the logits of every stage of images with torch's functions; batch statistics as in training."""
    state, size = network.state_dict(), x.shape[2:]

    def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride=stride, padding=1)

    def rectify(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = state[f"{name}.N.weight"], state[f"{name}.N.bias"]
        return functional.batch_norm(x, None, None, weight, bias, training=True).clamp_min(0)

    read = []
    for level in range(4):
        name = f"stages.{level}"
        if level == 0:
            x = conv(rectify(conv(x, f"{name}.0"), f"{name}.1"), f"{name}.2")
        else:
            x = conv(rectify(x, f"{name}.0"), f"{name}.1", stride=2)
            for number in (2, 3):
                block = f"{name}.{number}.residual"
                inner = conv(rectify(x, f"{block}.0"), f"{block}.1")
                x = x + conv(rectify(inner, f"{block}.2"), f"{block}.3")
        weight, bias = state[f"taps.{level}.deconv.weight"], state[f"taps.{level}.deconv.bias"]
        full = functional.conv_transpose2d(x, weight, bias, stride=2**level, padding=1)
        read.append(conv(full[:, :, : size[0], : size[1]].clamp_min(0), f"taps.{level}.head.1"))
    return read


@pytest.mark.parametrize("size", [(16, 24), (11, 9)])
def test_network_is_the_sum_of_what_is_read_from_four_stages(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = VoxResNet(2, 2, 3, deep_supervision=True, **SMALL).double().train()
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    with torch.no_grad():
        total, *read = network(x)
        wanted = spell_out(network, x)
    torch.testing.assert_close(total, sum(wanted), rtol=0, atol=1e-11)
    torch.testing.assert_close(read, wanted, rtol=0, atol=1e-11)


def test_default_network_has_the_parameters_of_the_paper() -> None:
    first = 27 * (32 + 32 * 32) + 32
    down = 27 * (32 * 64 + 2 * 64 * 64) + 3 * 64
    modules = 6 * (2 * 27 * 64 * 64 + 64)
    norms = 2 * (2 * 32 + 2 * 64 + 12 * 64)
    deconvs = 32 * 32 * 3**3 + 32 + 64 * 64 * (4**3 + 6**3 + 10**3) + 3 * 64
    heads = 27 * (32 + 3 * 64) * 4 + 4 * 4
    parameters = sum(parameter.numel() for parameter in VoxResNet(3, 1, 4).parameters())
    assert parameters == first + down + modules + norms + deconvs + heads


def test_transposed_convolutions_are_those_of_the_paper() -> None:
    deconvs = [tap.deconv for tap in VoxResNet(3, 1, 4).taps]
    assert [deconv.kernel_size[0] for deconv in deconvs] == [3, 4, 6, 10]
    assert [deconv.stride[0] for deconv in deconvs] == [1, 2, 4, 8]
    assert {deconv.padding for deconv in deconvs} == {(1, 1, 1)}


def test_every_stage_ends_in_attention_for_its_size() -> None:
    network = VoxResNet(3, 1, 2, attention="pam", spatial_size=(64, 48, 37), **SMALL)
    assert all(isinstance(gate, ProgressiveAttention) for gate in network.gates)
    assert [gate.slice.slices for gate in network.gates] == [37, 19, 10, 5]


def test_attention_weights_what_is_read_and_what_is_passed_on() -> None:
    network = VoxResNet(2, 1, 2, channels=(4, 4), attention="se").eval()
    x = torch.randn(1, 1, 8, 8)
    first = network.gates[0](network.stages[0](x))
    second = network.gates[1](network.stages[1](first))
    torch.testing.assert_close(network(x), network.taps[0](first, [8, 8]) + network.taps[1](second, [8, 8]))


@pytest.mark.parametrize(("activation", "function"), [("softmax", lambda x: x.softmax(1)), ("sigmoid", torch.sigmoid)])
def test_second_network_sees_the_image_and_the_probabilities_of_the_first(activation: str, function: Any) -> None:
    network = AutoContext(2, 2, 3, activation=activation, **SMALL).eval()
    x = torch.randn(2, 2, 9, 12)
    wanted = network.second(torch.cat([x, function(network.first(x))], dim=1))
    torch.testing.assert_close(network(x), wanted)


def test_deep_supervision_of_both_networks_starts_with_the_second() -> None:
    network, x = AutoContext(2, 1, 3, deep_supervision=True, **SMALL).train(), torch.randn(2, 1, 9, 12)
    outputs, first = network(x), network.first(x)
    assert len(outputs) == 10
    torch.testing.assert_close(outputs[5:], first)
    torch.testing.assert_close(outputs[:5], network.second(torch.cat([x, first[0].softmax(1)], dim=1)))


def test_finished_first_network_can_be_kept_as_it_is() -> None:
    network = AutoContext(2, 1, 3, **SMALL)
    network.first.requires_grad_(False)
    network(torch.randn(2, 1, 9, 12)).square().mean().backward()
    assert all(parameter.grad is None for parameter in network.first.parameters())
    assert all(parameter.grad is not None for parameter in network.second.parameters())


@scripts
@pytest.mark.parametrize("deep_supervision", [False, True])
def test_script_of_the_chain_equals_eager(deep_supervision: bool) -> None:
    network = AutoContext(3, 1, 3, deep_supervision=deep_supervision, channels=(2, 3), modules=1)
    x = torch.randn(2, 1, 5, 6, 7)
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(x), network(x))
    torch.testing.assert_close(scripted.eval()(x), network.eval()(x))


def test_axis_shorter_than_the_last_stride_is_refused() -> None:
    network = VoxResNet(3, 1, 2, **SMALL).eval()
    assert network(torch.randn(1, 1, 8, 8, 8)).shape == (1, 2, 8, 8, 8)
    with pytest.raises(ValueError, match="every spatial axis needs at least 8 voxels"):
        network(torch.randn(1, 1, 8, 8, 7))


@pytest.mark.parametrize(
    ("key", "value"), [("channels", [8]), ("channels", [8, 0]), ("modules", 0), ("context_channels", -1)]
)
def test_bad_option_is_refused_by_its_name(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} "):
        VoxResNet(3, 1, 2, **{**SMALL, key: value})


def test_activation_that_makes_no_probabilities_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^activation must be one of softmax, sigmoid, got 'relu'"):
        AutoContext(3, 1, 2, activation="relu")
    with pytest.raises(ValueError, match=r"^activation must be 'sigmoid' for one class"):
        AutoContext(3, 1, 1)


def test_only_images_and_volumes_are_taken() -> None:
    with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 1"):
        VoxResNet(1, 1, 2)
