"""The attention gate on a skip connection."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from bundle.attention import AttentionGate, is_skip_gate


def literal_gate(block: AttentionGate, x: torch.Tensor, gating: torch.Tensor) -> torch.Tensor:
    """Spell the gate out, position by position, for maps of even size."""
    theta, phi, psi = block.theta.weight, block.phi, block.psi
    logits = x.new_zeros(x.shape[0], 1, *gating.shape[2:])
    for sample in range(x.shape[0]):
        for place in itertools.product(*(range(size) for size in gating.shape[2:])):
            window = (sample, slice(None), *(slice(2 * index, 2 * index + 2) for index in place))
            summed = torch.stack([(kernel * x[window]).sum() for kernel in theta])
            summed = summed + phi.weight.flatten(1) @ gating[(sample, slice(None), *place)] + phi.bias
            logits[(sample, 0, *place)] = psi.weight.flatten() @ summed.clamp_min(0) + psi.bias[0]
    mode = "trilinear" if x.dim() == 5 else "bilinear"
    gate = torch.sigmoid(functional.interpolate(logits, size=x.shape[2:], mode=mode, align_corners=False))
    conv, norm = block.output
    mixed = torch.einsum("oc,bc...->bo...", conv.weight.flatten(1), x * gate)
    axes = list(range(2, x.dim()))
    normal = (mixed - mixed.mean(axes, keepdim=True)) / (mixed.var(axes, correction=0, keepdim=True) + norm.eps).sqrt()
    shape = [1, -1] + [1] * len(axes)
    return normal * norm.weight.reshape(shape) + norm.bias.reshape(shape)


@pytest.mark.parametrize("dims", [2, 3])
def test_gate_equals_its_literal_form_in_output_and_gradients(dims: int) -> None:
    torch.manual_seed(0)
    block = AttentionGate(dims, 4, gating_channels=6).double()
    x = torch.randn(2, 4, *[4, 6, 8][:dims], dtype=torch.float64, requires_grad=True)
    gating = torch.randn(2, 6, *[2, 3, 4][:dims], dtype=torch.float64, requires_grad=True)
    inputs = [x, gating, *block.parameters()]
    got, expected = block(x, gating), literal_gate(block, x, gating)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    weight = torch.randn_like(got)
    for one, other in zip(
        torch.autograd.grad((got * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_gating_map_of_another_size_is_interpolated() -> None:
    block = AttentionGate(3, 4, gating_channels=6)
    assert block(torch.randn(1, 4, 9, 8, 7), torch.randn(1, 6, 3, 3, 3)).shape == (1, 4, 9, 8, 7)


def test_output_without_a_norm_is_the_convolution_alone() -> None:
    block = AttentionGate(2, 4, gating_channels=6, norm=None)
    assert len(block.output) == 1
    assert block.output[0].bias is not None


@pytest.mark.parametrize(("name", "expected"), [("ag", True), (["AG", {}], True), ("se", False), (None, False)])
def test_skip_gate_is_known_by_its_name(name: object, expected: bool) -> None:
    assert is_skip_gate(name) is expected


def test_name_that_is_unknown_is_no_skip_gate() -> None:
    assert not is_skip_gate("pan")
