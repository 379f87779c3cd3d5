"""The attention pyramid, part by part, against its formulas in double precision."""

from __future__ import annotations

import pytest
import torch
from contracts.attention import scripts
from contracts.literal import assert_same_function
from torch import nn
from torch.nn import functional

from bundle.networks.blocks.attention_pyramid import AttentionPyramid, BranchGate, DenseBlock
from bundle.networks.blocks.convolution import SeparableConv


def double(module: nn.Module) -> nn.Module:
    """Move every parameter away from where training starts."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.3)
    return module.double()


def literal_dense(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Compute a dense block tap by tap: a convolution of size 3 is the sum of nine shifted products."""

    def conv(y: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = state[f"{name}.0.weight"], state[f"{name}.0.bias"]
        rows, columns = y.shape[2:]
        padded = functional.pad(y, [1, 1, 1, 1])
        taps = [
            torch.einsum("oi,bihw->bohw", weight[:, :, i, j], padded[:, :, i : i + rows, j : j + columns])
            for i in range(3)
            for j in range(3)
        ]
        return (sum(taps) + bias.view(-1, 1, 1)).clamp(min=0)

    a = conv(conv(x, "first.0"), "first.1")
    return conv(conv(torch.cat([x, a], 1), "second.0"), "second.1")


def literal_gate(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Scale channel by channel."""
    y = torch.empty_like(x)
    for sample in range(x.size(0)):
        hidden = torch.stack([channel.mean() for channel in x[sample]])
        hidden = (state["fc.0.weight"] @ hidden).clamp(min=0)
        hidden = (state["fc.2.weight"] @ hidden).clamp(min=0)
        gates = 1 / (1 + torch.exp(-(state["fc.4.weight"] @ hidden)))
        for channel, gate in enumerate(gates):
            y[sample, channel] = x[sample, channel] * gate
    return y


def test_dense_block_is_that_of_the_definition() -> None:
    block, x = double(DenseBlock(2, 3, dropout=None)), torch.randn(2, 3, 5, 4).double()
    assert_same_function(block, lambda y: literal_dense(dict(block.named_parameters()), y), x)


def test_gate_is_that_of_the_definition() -> None:
    block, x = double(BranchGate(6, reduction=2)), torch.randn(2, 6, 5, 4).double()
    assert_same_function(block, lambda y: literal_gate(dict(block.named_parameters()), y), x)


def test_mix_is_a_convolution_over_the_axis_of_the_branches() -> None:
    torch.manual_seed(0)
    pyramid, x = AttentionPyramid(2, 6, 4, rates=(1, 2), dropout=None).double(), torch.randn(2, 6, 5, 7).double()
    levels = []
    for index, level in enumerate(pyramid.pyramid(x)):
        refined = literal_dense(pyramid.dense[index].state_dict(), level)
        levels.append(literal_gate(pyramid.gate.state_dict(), refined))
    stack = torch.stack(levels, dim=-1)
    kernel = pyramid.mix[0].weight[..., 0, 0].reshape(4, 4, 4).transpose(1, 2)[:, :, None, None, :]
    wanted = functional.conv3d(stack, kernel)[..., 0].clamp(min=0)
    assert wanted.any()
    torch.testing.assert_close(pyramid(x), wanted, rtol=0, atol=1e-12)


def test_parts_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        pyramid = AttentionPyramid(2, 2048)
    counts = [sum(p.numel() for p in part.parameters()) for part in (pyramid.dense[0], pyramid.gate, pyramid.mix)]
    assert counts == [2_950_144, 256 * 256 + 2 * 256 * 32, 5 * 256 * 256]
    assert len(pyramid.dense) == 5


def test_dilated_branches_are_separable_by_default() -> None:
    assert [isinstance(branch, SeparableConv) for branch in AttentionPyramid(2, 8, 4).branches] == [False] + [True] * 3
    plain = AttentionPyramid(2, 8, 4, separable=False)
    assert not any(isinstance(branch, SeparableConv) for branch in plain.branches)


@pytest.mark.parametrize(("dropout", "dropped"), [(None, False), (0.5, True)])
def test_dropout_acts_in_the_dense_blocks(dropout: float | None, dropped: bool) -> None:
    torch.manual_seed(0)
    block, x = DenseBlock(2, 8, dropout=dropout), torch.randn(1, 8, 6, 6)
    assert torch.equal(block(x), block(x)) != dropped
    assert torch.equal(block.eval()(x), block(x))


@scripts
@pytest.mark.parametrize("dims", [2, 3])
def test_size_is_kept_and_script_equals_eager(dims: int) -> None:
    pyramid, x = AttentionPyramid(dims, 8, 4, norm="instance").eval(), torch.randn(2, 8, *[3, 5, 4][:dims])
    assert pyramid(x).shape == (2, 4, *x.shape[2:])
    torch.testing.assert_close(torch.jit.script(pyramid)(x), pyramid(x))


def test_reduction_must_be_positive_and_leaves_one_unit() -> None:
    with pytest.raises(ValueError, match=r"^reduction must be at least 1, got 0"):
        BranchGate(8, reduction=0)
    assert BranchGate(4, reduction=8).fc[2].out_features == 1
