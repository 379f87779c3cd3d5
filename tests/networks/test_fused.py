"""Instance normalization and the following slice mechanism in one step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bundle.attention import get_attention_layer
from bundle.networks import AttentionUNet
from bundle.networks.blocks.convolution import conv_stack
from bundle.networks.blocks.fused import FusedLevel

SIZE = [16, 20, 24]


def pair(attention: Any, **options: Any) -> list[AttentionUNet]:
    """Return the network that runs the modules in turn and the fused one, with the same weights."""
    torch.manual_seed(0)
    build = {"channels": [4, 8, 8], "attention": attention, "spatial_size": SIZE, **options}
    networks = [AttentionUNet(3, 1, 3, fused=fused, **build) for fused in (False, True)]
    networks[1].load_state_dict(networks[0].state_dict(), strict=True)
    return networks


@pytest.mark.parametrize("name", ["pam", "csa", "sca"])
@pytest.mark.parametrize("slice_dim", [0, 1, -1])
def test_fused_network_equals_the_modules_in_turn_in_output_and_gradients(name: str, slice_dim: int) -> None:
    networks = pair((name, {"slice_dim": slice_dim, "slice_reduction": 2, "channel_reduction": 2}))
    x = torch.randn(2, 1, *SIZE, dtype=torch.float64, requires_grad=True)
    outputs = [network.double()(x) for network in networks]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=1e-12)
    grads = [
        torch.autograd.grad(y.square().sum(), [x, *network.parameters()])
        for y, network in zip(outputs, networks, strict=True)
    ]
    for fused, turn in zip(grads[1], grads[0], strict=True):
        torch.testing.assert_close(fused, turn, rtol=1e-9, atol=1e-10)


def test_single_precision_is_equal_to_1e_5() -> None:
    networks, x = pair("pam"), torch.randn(2, 1, *SIZE)
    torch.testing.assert_close(networks[1](x), networks[0](x), rtol=0, atol=1e-5)


def test_gradient_is_the_slope_of_the_output() -> None:
    torch.manual_seed(0)
    stack = conv_stack(3, 2, 2, 2, convs=1, kernel_size=1)
    level = FusedLevel(stack, get_attention_layer("sca", 3, 2, [3, 2, 4])).double()
    assert torch.autograd.gradcheck(level, torch.randn(2, 2, 3, 2, 4, dtype=torch.float64, requires_grad=True))


def test_frozen_parameters_get_no_gradient_and_two_backward_passes_add_up() -> None:
    network = pair("pam")[1]
    frozen = [parameter for name, parameter in network.named_parameters() if ".slice." in name]
    for parameter in frozen:
        parameter.requires_grad_(False)
    loss = network(torch.randn(1, 1, *SIZE)).square().mean()
    loss.backward(retain_graph=True)
    once = network.encoders[0][0][0][0].weight.grad.clone()
    loss.backward()
    assert all(parameter.grad is None for parameter in frozen)
    torch.testing.assert_close(network.encoders[0][0][0][0].weight.grad, 2 * once)


def test_half_precision_autocast_script_and_export_run_the_modules_in_turn() -> None:
    plain, fused = pair("pam")
    x = torch.randn(1, 1, *SIZE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fused(x), plain(x))
    assert torch.equal(fused.bfloat16()(x.bfloat16()), plain.bfloat16()(x.bfloat16()))
    fused = fused.float().eval()
    exported = torch.export.export(fused, (x,)).module()
    torch.testing.assert_close(exported(x), fused(x), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_script_equals_eager() -> None:
    fused, x = pair("pam")[1], torch.randn(1, 1, *SIZE)
    torch.testing.assert_close(torch.jit.script(fused)(x), fused(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", [None, "se", "sa", ("pam", {"slice_pooling": "max"})])
def test_attention_that_cannot_be_fused_is_refused(attention: Any) -> None:
    with pytest.raises(ValueError, match="fused must be false unless attention is"):
        AttentionUNet(3, 1, 2, attention=attention, spatial_size=SIZE, fused=True)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch"},
        {"norm": ("instance", {"affine": False})},
        {"levels": {"adn_ordering": "NDA"}},
        {"levels": {"adn_ordering": ""}},
    ],
)
def test_levels_that_do_not_end_in_an_affine_instance_norm_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fused must be false unless every convolution ends in"):
        AttentionUNet(3, 1, 2, attention="pam", spatial_size=SIZE, fused=True, **options)


def test_stack_of_other_modules_is_refused() -> None:
    with pytest.raises(ValueError, match="fused must be false unless every convolution ends in"):
        FusedLevel(nn.Sequential(nn.Conv3d(1, 2, 1)), get_attention_layer("pam", 3, 2, SIZE))


def test_map_in_channels_last_has_the_same_gradients() -> None:
    networks = pair("pam")
    x = torch.randn(2, 1, *SIZE, dtype=torch.float64)
    grads = []
    for network in networks:
        network = network.double().to(memory_format=torch.channels_last_3d)
        loss = network(x.contiguous(memory_format=torch.channels_last_3d)).square().mean()
        grads.append(torch.autograd.grad(loss, list(network.parameters())))
    for fused, turn in zip(grads[1], grads[0], strict=True):
        torch.testing.assert_close(fused, turn, rtol=1e-9, atol=1e-10)
