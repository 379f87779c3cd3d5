"""Tokens of image patches: a small CNN per patch, then a transformer over the patches.

Paper: Contextual Attention Network: Transformer Meets U-Net (Azad et al. 2022), https://arxiv.org/abs/2203.01932; the
transformer is that of An Image is Worth 16x16 Words (Dosovitskiy et al. 2020), https://arxiv.org/abs/2010.11929.
Differs from the authors' code: the scores are divided before the softmax, by the root of the width of a head; the map
of tokens excludes the class token instead of being shifted by it; any input size (the image is padded with zeros
to complete patches, positions are interpolated); 3D.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.blocks import MLPBlock
from monai.networks.layers.factories import Pool
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_positive

from .convolution import conv_stack


class SelfAttention(nn.Module):
    """Self-attention of tokens in several heads; ``monai.networks.blocks.SABlock`` needs einops for it.

    Args:
        width: width E of a token.
        heads: attention heads, a divisor of ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens of the shape of ``x`` ``(B, N, E)``."""
        heads = self.qkv(x).reshape(x.size(0), x.size(1), 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """Self-attention, then a perceptron with GELU; each after a layer normalization, each added to its input.

    Args:
        width: width E of a token.
        heads: attention heads, a divisor of ``width``.
        mlp_ratio: hidden units of the perceptron over ``width``.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLPBlock(width, mlp_ratio * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens of the shape of ``x`` ``(B, N, E)``."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchTransformer(nn.Module):
    """Compute one token per patch of an image, each of which has attended to all others.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        patch_size: edge of a patch in voxels, at least ``2 ** len(channels)``.
        spatial_size: size of the image that the positions are made for; for another size they are interpolated.
        channels: channels of the stages of the CNN, two convolutions and a halving each; the last is the width E of a
            token, the mean over the last map of the patch.
        depth: number of :class:`EncoderBlock`.
        heads: attention heads, a divisor of the width.
        mlp_ratio: hidden units of the perceptrons over the width.
        act: MONAI activation option of the CNN.
        norm: MONAI normalization option of the CNN.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        patch_size: int = 16,
        spatial_size: Sequence[int],
        channels: Sequence[int] = (128, 256, 512),
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: int = 4,
        act: Any = "relu",
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        _check(patch_size, channels, depth, heads, mlp_ratio)
        self.patch_size, self.width = patch_size, channels[-1]
        layers: list[nn.Module] = []
        for source, width in pairwise([in_channels, *channels]):
            options = {"convs": 2, "act": act, "norm": norm, "adn_ordering": "NDA"}
            layers += [conv_stack(spatial_dims, source, width, width, **options), Pool[Pool.MAX, spatial_dims](2)]
        self.cnn = nn.Sequential(*layers)
        grid = [-(-int(size) // patch_size) for size in spatial_size]
        self.class_token = nn.Parameter(torch.randn(1, 1, self.width))
        self.class_position = nn.Parameter(torch.randn(1, 1, self.width))
        self.positions = nn.Parameter(torch.randn(1, self.width, *grid))
        self.mode = "bilinear" if spatial_dims == 2 else "trilinear"
        self.blocks = nn.Sequential(*(EncoderBlock(self.width, heads, mlp_ratio) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the tokens ``(B, E, ...)`` of ``x`` ``(B, in_channels, ...)``, in the arrangement of the patches.

        The last patch of an axis may reach beyond the image; there it is zero.
        """
        patches, grid = cut_patches(x, self.patch_size)
        tokens = self.cnn(patches).flatten(2).mean(-1).reshape(x.size(0), -1, self.width)
        tokens = tokens + self._positions(grid).flatten(2).transpose(1, 2)
        first = (self.class_token + self.class_position).expand(x.size(0), 1, self.width)
        tokens = self.blocks(torch.cat([first.to(tokens.dtype), tokens], dim=1))[:, 1:]
        return tokens.transpose(1, 2).reshape([x.size(0), self.width] + grid)  # noqa: RUF005 - TorchScript

    def _positions(self, grid: list[int]) -> torch.Tensor:
        """Return the positions ``(1, E, ...)`` of a grid of patches."""
        if list(self.positions.shape[2:]) == grid:
            return self.positions
        return functional.interpolate(self.positions, size=grid, mode=self.mode, align_corners=False)


def cut_patches(x: torch.Tensor, patch_size: int) -> tuple[torch.Tensor, list[int]]:
    """Cut an image ``(B, C, ...)``, padded with zeros to complete patches, into its patches.

    Returns:
        Patches ``(B N, C, patch_size, ...)``, the last axis of the image fastest, and their number along every axis.
    """
    grid: list[int] = []
    lacking: list[int] = []
    for size in list(x.shape[2:]):
        count = (size + patch_size - 1) // patch_size
        grid.append(count)
        lacking += [count * patch_size - size, 0]
    x = functional.pad(x, lacking[::-1])
    for axis in range(len(grid)):
        x = x.unfold(2 + axis, patch_size, patch_size)
    return x.movedim(1, 1 + len(grid)).flatten(0, len(grid)), grid


def paint(values: torch.Tensor, patch_size: int, size: list[int]) -> torch.Tensor:
    """Spread one value per patch ``(B, C, ...)`` over the voxels of the patches of an image of size ``size``."""
    whole: list[int] = [count * patch_size for count in values.shape[2:]]
    image = functional.interpolate(values, size=whole, mode="nearest")
    for axis, length in enumerate(size):
        image = image.narrow(2 + axis, 0, length)
    return image


def _check(patch_size: int, channels: Sequence[int], depth: int, heads: int, mlp_ratio: int) -> None:
    if len(channels) == 0 or min(channels) < 1:
        raise ValueError(f"channels needs one positive width or more, got {list(channels)}.")
    if patch_size < 2 ** len(channels):
        raise ValueError(
            f"patch_size must be at least {2 ** len(channels)} to be halved by every stage, got {patch_size}."
        )
    check_positive(depth=depth, heads=heads, mlp_ratio=mlp_ratio)
    if channels[-1] % heads:
        raise ValueError(f"heads must divide the width {channels[-1]} of a token, got {heads}.")
