"""The Progressive Attention Module."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from contracts import literal

from bundle.attention import ProgressiveAttention, key_slices

POOLINGS = ("avg", "max", "avg_and_max")
EVERY_POOLING = list(product(POOLINGS, repeat=2))
# depths at which the mean of a softmax of equal scores can round to more than the scores, so that no slice passes
DEPTHS = (10, 11, 14, 19, 20, 22, 26, 30, 31, 38, 42)


def build(slice_dim: int, slice_pooling: str, channel_pooling: str, key_gradient: bool) -> ProgressiveAttention:
    return literal.small_block(
        ProgressiveAttention, slice_dim, slice_pooling, channel_pooling, key_gradient=key_gradient
    )


def literal_pam(
    block: ProgressiveAttention, slice_dim: int, slice_pooling: str, channel_pooling: str, key_gradient: bool
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Spell the module out: slice by slice, channel by channel, sample by sample, with the volume scaled twice."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in range(x.shape[0]):
            scaled, keys = [], []
            for channel in range(x.shape[1]):
                planes = literal.slices(x, sample, channel, slice_dim)
                gates = literal.slice_gates(block, channel, planes, slice_pooling)
                gated = [gate * plane for gate, plane in zip(gates, planes, strict=True)]
                share = torch.exp(gates.detach()) / torch.exp(gates.detach()).sum()
                selected = [plane for plane, p in zip(gated, share, strict=True) if p >= share.mean()]
                assert 0 < len(selected) < len(planes)
                scaled.append(torch.stack(gated, dim=slice_dim))
                keys.append(torch.stack(selected))
            channel_gates = literal.channel_gates(block, keys, channel_pooling, detach=not key_gradient)
            samples.append(torch.stack([gate * volume for gate, volume in zip(channel_gates, scaled, strict=True)]))
        return torch.stack(samples)

    return forward


@pytest.mark.parametrize("key_gradient", [True, False])
@pytest.mark.parametrize(("slice_pooling", "channel_pooling"), EVERY_POOLING)
@pytest.mark.parametrize("slice_dim", [0, 1, 2])
def test_module_equals_its_literal_form_in_output_and_gradients(
    slice_dim: int, slice_pooling: str, channel_pooling: str, key_gradient: bool
) -> None:
    options = (slice_dim, slice_pooling, channel_pooling, key_gradient)
    block = build(*options)
    literal.assert_same_function(
        block, literal_pam(block, *options), torch.randn(3, 8, *literal.SIZE, dtype=torch.float64)
    )


@pytest.mark.parametrize(("slice_pooling", "channel_pooling"), EVERY_POOLING)
def test_batch_of_three_is_three_single_runs(slice_pooling: str, channel_pooling: str) -> None:
    block = build(-1, slice_pooling, channel_pooling, True)
    x = torch.randn(3, 8, *literal.SIZE, dtype=torch.float64)
    single = torch.cat([block(sample[None]) for sample in x])
    torch.testing.assert_close(block(x), single, rtol=0, atol=1e-12)


def test_key_gradient_changes_the_gradient_and_not_the_output() -> None:
    x = torch.randn(2, 8, *literal.SIZE, dtype=torch.float64, requires_grad=True)
    with_keys, without = (build(-1, "avg", "avg", key_gradient)(x) for key_gradient in (True, False))
    assert torch.equal(with_keys, without)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (with_keys, without)]
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_key_slices_have_at_least_the_mean_share_of_the_softmax(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    gate = torch.rand(4, 8, 24).to(dtype)
    share = torch.softmax(gate.double(), dim=-1)
    assert torch.equal(key_slices(gate), share >= share.mean(-1, keepdim=True))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_equal_gates_are_all_keys(depth: int, dtype: torch.dtype) -> None:
    gates = torch.linspace(0, 1, 101).to(dtype)[None, :, None].expand(1, -1, depth)
    assert key_slices(gates).all()


@pytest.mark.parametrize("depth", [1, *DEPTHS])
def test_set_of_key_slices_is_never_empty(depth: int) -> None:
    torch.manual_seed(0)
    nearly_equal = 0.5 + 1e-7 * torch.rand(1, 1000, depth)
    assert key_slices(nearly_equal).any(-1).all()


def test_selection_carries_no_gradient() -> None:
    assert not key_slices(torch.rand(1, 2, 3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("depth", DEPTHS)
def test_module_whose_gates_are_all_equal_runs(depth: int) -> None:
    block = ProgressiveAttention(3, 2, [4, 4, depth])
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 2, 4, 4, depth)
    torch.testing.assert_close(block(x), x / 4)


def test_fewer_slices_than_the_reduction_leave_one_hidden_unit() -> None:
    block = ProgressiveAttention(3, 4, [8, 8, 4], slice_reduction=16, channel_reduction=16)
    assert block.slice.weight1.shape == (4, 1, 4)
    assert block.channel.fc[0].weight.shape == (1, 4)
