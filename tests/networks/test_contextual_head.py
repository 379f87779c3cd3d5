"""The head of the contextual attention network, against its formula in double precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.literal import assert_same_function
from torch import nn

from bundle.networks.blocks.contextual_head import ContextualHead


def build(dims: int = 2, **options: Any) -> ContextualHead:
    torch.manual_seed(0)
    small: dict[str, Any] = {"token_width": 6, "patch_size": 4, "context_channels": 3, "boundary_channels": 2}
    small |= {"attention": ("se", {"reduction": 2}), "norm": None}
    return ContextualHead(dims, 4, 2, **{**small, **options}).double()


def literal_head(head: nn.Module, x: torch.Tensor, tokens: torch.Tensor) -> list[torch.Tensor]:
    """Compute the head voxel by voxel."""
    weights = {name: value.flatten(1) if value.dim() > 2 else value for name, value in head.named_parameters()}

    def sigmoid(y: torch.Tensor) -> torch.Tensor:
        return 1 / (1 + torch.exp(-y))

    masks = torch.zeros(x.size(0), 2, *x.shape[2:], dtype=x.dtype)
    boundaries = torch.zeros(x.size(0), 1, *x.shape[2:], dtype=x.dtype)
    regions = torch.zeros(x.size(0), 1, *tokens.shape[2:], dtype=x.dtype)
    for sample in range(x.size(0)):
        means = torch.stack([channel.mean() for channel in x[sample]])
        hidden = (weights["attention.channel.fc.0.weight"] @ means + weights["attention.channel.fc.0.bias"]).clamp(
            min=0
        )
        gates = sigmoid(weights["attention.channel.fc.2.weight"] @ hidden + weights["attention.channel.fc.2.bias"])
        for row in range(x.size(2)):
            for column in range(x.size(3)):
                feature, token = x[sample, :, row, column], tokens[sample, :, row // 4, column // 4]
                hidden = (weights["boundary.0.0.weight"] @ feature + weights["boundary.0.0.bias"]).clamp(min=0)
                edge = weights["boundary.1.weight"] @ hidden
                region = token.sum() / len(token)
                context = sigmoid(weights["context.0.weight"] @ token + weights["context.0.bias"])
                weighted = (gates * feature + sigmoid(edge)) * sigmoid(region)
                mask = weights["mask.weight"] @ torch.cat([weighted, context]) + weights["mask.bias"]
                masks[sample, :, row, column], boundaries[sample, :, row, column] = mask, edge
                regions[sample, :, row // 4, column // 4] = region
    return [masks, boundaries, regions]


def test_head_is_that_of_the_definition() -> None:
    head, tokens = build(), torch.randn(2, 6, 2, 2).double()
    x = torch.randn(2, 4, 7, 5).double()
    wanted = literal_head(head, x, tokens)
    for ours, theirs in zip(head(x, tokens), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert_same_function(Masks(head, tokens), lambda y: literal_head(head, y, tokens)[0][:, :1].expand_as(y), x)


class Masks(nn.Module):
    """The first mask of a head, of the shape of its feature."""

    def __init__(self, head: nn.Module, tokens: torch.Tensor) -> None:
        super().__init__()
        self.head, self.tokens = head, tokens

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x, self.tokens)[0][:, :1].expand_as(x)


def test_normalization_follows_the_boundary_and_the_context() -> None:
    head = build(norm="batch").eval()
    with torch.no_grad():
        for norm in (module for module in head.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 1.5)
    x, tokens = torch.randn(1, 4, 4, 4).double(), torch.randn(1, 6, 1, 1).double()
    mask, boundary, _ = head(x, tokens)

    def normalized(y: torch.Tensor, norm: nn.Module) -> torch.Tensor:
        mean, deviation = norm.running_mean.view(-1, 1, 1), (norm.running_var + 1e-5).sqrt().view(-1, 1, 1)
        return (y - mean) / deviation

    edge = head.boundary[1](normalized(head.boundary[0][0](x), head.boundary[0][1].N).clamp(min=0))
    torch.testing.assert_close(boundary, edge)
    context = torch.sigmoid(normalized(head.context[0](tokens), head.context[1].N)).expand(-1, -1, 4, 4)
    weighted = (head.attention(x) + torch.sigmoid(edge)) * torch.sigmoid(tokens.mean(1, keepdim=True))
    torch.testing.assert_close(mask, head.mask(torch.cat([weighted, context], 1)))


def test_feature_reaches_the_mask_in_addition_to_the_boundary() -> None:
    """The authors' code hands on the gates alone: a patch of the mask is then a straight line of the boundary."""
    head, tokens = build(), torch.randn(1, 6, 1, 1).double()
    mask, boundary, _ = head(torch.randn(1, 4, 4, 4).double(), tokens)
    line = torch.stack([torch.sigmoid(boundary).flatten(), torch.ones(16)], dim=1)
    fit = torch.linalg.lstsq(line, mask[0, :1].flatten()[:, None]).solution
    assert (line @ fit - mask[0, 0].flatten()[:, None]).abs().max() > 1e-3


def test_mechanism_of_the_attention_is_a_choice() -> None:
    assert sum(p.numel() for p in build(attention=None).attention.parameters()) == 0
    mask, boundary, regions = build(3, attention="pam", spatial_size=[8, 8, 8])(
        torch.randn(1, 4, 8, 7, 6).double(), torch.randn(1, 6, 2, 2, 2).double()
    )
    assert (mask.shape, boundary.shape) == ((1, 2, 8, 7, 6), (1, 1, 8, 7, 6))
    assert regions.shape == (1, 1, 2, 2, 2)


@pytest.mark.parametrize("option", ["context_channels", "boundary_channels"])
def test_widths_must_be_positive(option: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be at least 1, got 0"):
        build(**{option: 0})
