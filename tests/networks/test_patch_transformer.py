"""Tokens of patches, against their formulas in double precision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from contracts.attention import scripts
from contracts.literal import assert_same_function
from torch import nn
from torch.nn import functional

from bundle.networks.blocks.patch_transformer import (
    EncoderBlock,
    PatchTransformer,
    SelfAttention,
    cut_patches,
    paint,
)

SMALL: dict[str, Any] = {"patch_size": 4, "channels": [4, 6], "depth": 2, "heads": 2, "norm": "instance"}


def build(dims: int = 2, size: int = 12, **options: Any) -> PatchTransformer:
    torch.manual_seed(0)
    return PatchTransformer(dims, 3, spatial_size=[size] * dims, **{**SMALL, **options}).double()


def literal_attention(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Compute self-attention query by query and head by head."""
    width = x.size(-1) // block.heads
    projected = x @ block.qkv.weight.T + block.qkv.bias
    query, key, value = projected.chunk(3, dim=-1)
    samples = []
    for sample in range(x.size(0)):
        heads = []
        for head in range(block.heads):
            part = slice(head * width, (head + 1) * width)
            rows = []
            for token in range(x.size(1)):
                scores = torch.stack([query[sample, token, part] @ k for k in key[sample, :, part]]) / math.sqrt(width)
                weights = torch.exp(scores) / torch.exp(scores).sum()
                rows.append(sum(w * v for w, v in zip(weights, value[sample, :, part], strict=True)))
            heads.append(torch.stack(rows))
        samples.append(torch.cat(heads, dim=-1))
    return torch.stack(samples) @ block.out_proj.weight.T + block.out_proj.bias


def literal_norm(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    centered = x - x.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias


def literal_encoder(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x + literal_attention(block.attn, literal_norm(block.norm1, x))
    hidden = literal_norm(block.norm2, x) @ block.mlp.linear1.weight.T + block.mlp.linear1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + hidden @ block.mlp.linear2.weight.T + block.mlp.linear2.bias


def literal_patches(x: torch.Tensor, edge: int) -> torch.Tensor:
    """Cut a 2D image row by row."""
    rows, columns = (math.ceil(size / edge) for size in x.shape[2:])
    padded = torch.zeros(*x.shape[:2], rows * edge, columns * edge, dtype=x.dtype)
    padded[:, :, : x.size(2), : x.size(3)] = x
    cut = [
        image[:, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
        for image in padded
        for row in range(rows)
        for column in range(columns)
    ]
    return torch.stack(cut)


def test_self_attention_is_that_of_the_definition() -> None:
    torch.manual_seed(0)
    block = SelfAttention(6, 2).double()
    assert_same_function(block, lambda y: literal_attention(block, y), torch.randn(2, 5, 6).double())


def test_encoder_block_is_that_of_the_definition() -> None:
    torch.manual_seed(0)
    block = EncoderBlock(6, 3, mlp_ratio=2).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    assert_same_function(block, lambda y: literal_encoder(block, y), torch.randn(2, 4, 6).double())


def test_encoder_block_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in EncoderBlock(512, 8).parameters()) == 4 * (512 * 512 + 512) + 2_099_712 + 2 * 1024


@pytest.mark.parametrize("size", [(8, 12), (9, 5), (3, 8)])
def test_patches_are_cut_row_by_row_and_filled_up_with_zeros(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    patches, grid = cut_patches(x, 4)
    assert grid == [math.ceil(side / 4) for side in size]
    assert torch.equal(patches, literal_patches(x, 4))


def test_patches_of_a_volume_keep_the_order_of_its_axes() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    patches, grid = cut_patches(x, 2)
    assert grid == [2, 3, 4]
    assert torch.equal(patches[24 + 1 * 12 + 2 * 4 + 3], x[1, :, 2:4, 4:6, 6:8])


@pytest.mark.parametrize("size", [(12, 12), (10, 7), (16, 20)])
def test_tokens_are_those_of_the_definition(size: tuple[int, int]) -> None:
    module, x = build(), torch.randn(2, 3, *size).double()
    grid = [math.ceil(side / 4) for side in size]
    tokens = module.cnn(literal_patches(x, 4)).mean((2, 3)).reshape(2, grid[0] * grid[1], 6)
    positions = functional.interpolate(module.positions, grid, mode="bilinear", align_corners=False)
    for row in range(grid[0]):
        for column in range(grid[1]):
            tokens[:, row * grid[1] + column] += positions[0, :, row, column]
    first = (module.class_token + module.class_position).expand(2, 1, 6)
    tokens = torch.cat([first, tokens], dim=1)
    for block in module.blocks:
        tokens = literal_encoder(block, tokens)
    wanted = torch.stack([tokens[:, 1 + index] for index in range(grid[0] * grid[1])], dim=-1).reshape(2, 6, *grid)
    torch.testing.assert_close(module(x), wanted, rtol=0, atol=1e-11)


def test_stages_on_a_patch_are_two_normalized_convolutions_and_a_maximum() -> None:
    module, x = build(norm="batch").eval(), torch.randn(5, 3, 4, 4).double()
    state, y = module.state_dict(), x
    for stage in (0, 2):
        for conv in (0, 1):
            name = f"cnn.{stage}.{conv}.0"
            y = functional.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
            y = (y / math.sqrt(1 + 1e-5)).clamp(min=0)
        y = y.reshape(*y.shape[:2], y.size(2) // 2, 2, y.size(3) // 2, 2).amax((3, 5))
    torch.testing.assert_close(module.cnn(x), y, rtol=0, atol=1e-12)


def test_token_of_a_patch_does_not_move_with_the_class_token() -> None:
    """A patch that alone is bright stands out at its place."""
    module = build(depth=1, size=16)
    nn.init.zeros_(module.positions)
    x = torch.zeros(1, 3, 16, 16).double()
    x[:, :, 4:8, 8:12] = torch.randn(3, 4, 4)
    tokens = module(x)
    distance = (tokens - tokens[:, :, :1, :1]).abs().sum(1)[0]
    assert (distance > 1e-9).nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("dims", [2, 3])
def test_value_of_a_patch_is_painted_over_its_voxels(dims: int) -> None:
    size = [7, 9, 4][:dims]
    values = torch.randn(2, 3, *(math.ceil(side / 4) for side in size))
    painted = paint(values, 4, size)
    assert painted.shape == (2, 3, *size)
    for place in torch.cartesian_prod(*map(torch.arange, size)).tolist():
        cell = tuple(index // 4 for index in place)
        assert torch.equal(painted[(slice(None), slice(None), *place)], values[(slice(None), slice(None), *cell)])


@scripts
@pytest.mark.parametrize("dims", [2, 3])
def test_script_equals_eager(dims: int) -> None:
    module, x = build(dims).float().eval(), torch.randn(2, 3, *[9, 12, 5][:dims])
    torch.testing.assert_close(torch.jit.script(module)(x), module(x))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("patch_size", 3),
        ("channels", []),
        ("channels", [0, 6]),
        ("depth", 0),
        ("heads", 0),
        ("heads", 4),
        ("mlp_ratio", 0),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        build(**{option: value})
