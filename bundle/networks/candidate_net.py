"""Classifier of candidate points: the anatomical level of each, or none.

Paper: the "look once" step of Azad et al., Intervertebral disc labeling with learning shape information, a look once
approach, https://arxiv.org/abs/2204.02943, which distinguishes discs from other candidates by their positions alone.
Differs from the paper: the candidates attend to one another with weights that depend on their differences, so that
their order and number are arbitrary; they are normalized by their own median and spread instead of two true discs; and
the classes are the levels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_not_negative, check_positive

MASKED = -1e4
"""Logit of the levels for a masked candidate, and of the attention to it."""

SPREAD_UNIT = 100.0
"""Spread in mm that the network sees as 1."""


class CandidateNet(nn.Module):
    """Return for every candidate of a set the logits of the levels and, last, of "none".

    The coordinates are normalized by the median of the candidates and the median of their distances to it. What the
    network computes for a candidate does not depend on the order of the others, nor on candidates that are masked.

    Args:
        in_channels: coordinates of a candidate.
        out_channels: number of levels plus one for "none".
        features: further numbers of each candidate, such as its confidence or its score for each level.
        width: channels of a candidate inside the network.
        depth: number of attention blocks.
        heads: heads of the attention, a divisor of ``width``.
        metric: whether the network also sees the logarithm of the spread in mm; without it, the result does not
            depend on the scale of the coordinates.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = CandidateNet(2, 25, width=16, depth=1, heads=2)
        >>> net(torch.rand(1, 7, 2)).shape
        torch.Size([1, 7, 25])
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 25,
        *,
        features: int = 0,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        metric: bool = True,
    ) -> None:
        super().__init__()
        _check(in_channels, out_channels, features, width, depth, heads)
        self.in_channels, self.out_channels, self.features = in_channels, out_channels, features
        self.metric = metric
        inputs = in_channels + features + int(metric)
        self.enter = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(CandidateBlock(in_channels, width, heads) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out_channels))

    def forward(
        self, points: torch.Tensor, mask: torch.Tensor | None = None, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits ``(B, N, out_channels)``; a masked candidate is "none" with certainty.

        Args:
            points: coordinates of the candidates in mm, ``(B, N, in_channels)``.
            mask: true for valid candidates, ``(B, N)``; None if all are valid.
            features: further numbers ``(B, N, features)``, for a network that was built for them.

        Raises:
            ValueError: when a shape or type is wrong.
        """
        if mask is None:
            mask = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
        self._check_inputs(points, mask, features)
        if points.size(1) == 0:
            return points.new_zeros(points.size(0), 0, self.out_channels)
        places, spread = normalize_candidates(points, mask)
        parts = [places] if features is None else [places, features.masked_fill(~mask[..., None], 0.0)]
        if self.metric:
            parts.append((spread / SPREAD_UNIT).log().expand(*points.shape[:2], 1))
        x = self.enter(torch.cat(parts, dim=-1))
        for block in self.blocks:
            x = block(x, places, mask)
        nothing = torch.full((self.out_channels,), MASKED, dtype=x.dtype, device=x.device)
        nothing[-1] = 0.0
        return torch.where(mask[..., None], self.leave(x), nothing)

    def _check_inputs(self, points: torch.Tensor, mask: torch.Tensor, features: torch.Tensor | None) -> None:
        if points.dim() != 3 or points.size(-1) != self.in_channels:
            raise ValueError(f"points must be (B, N, {self.in_channels}), got {tuple(points.shape)}.")
        if mask.shape != points.shape[:2] or mask.dtype != torch.bool:
            raise ValueError(f"mask must be boolean {tuple(points.shape[:2])}, got {mask.dtype} {tuple(mask.shape)}.")
        given = 0 if features is None else features.size(-1)
        if given != self.features or (features is not None and features.shape[:2] != points.shape[:2]):
            got = None if features is None else tuple(features.shape)
            raise ValueError(f"features must be {(*points.shape[:2], self.features)}, got {got}.")


class CandidateBlock(nn.Module):
    """Attention between candidates, biased by their differences, and a layer for each; both add to the input.

    Args:
        in_channels: coordinates of a candidate.
        width: channels of a candidate.
        heads: heads of the attention.
    """

    def __init__(self, in_channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.query_key_value = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.bias = nn.Sequential(nn.Linear(in_channels + 1, width // 2), nn.GELU(), nn.Linear(width // 2, heads))
        self.join = nn.Linear(width, width)
        self.own = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor, places: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return features of the shape of ``x`` ``(B, N, width)``; ``places`` are normalized coordinates."""
        batch, count, width = x.shape
        split = self.query_key_value(self.norm(x)).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        steps = places[:, :, None] - places[:, None]
        steps = torch.cat([steps, torch.linalg.vector_norm(steps, dim=-1, keepdim=True)], dim=-1)
        bias = self.bias(steps).permute(0, 3, 1, 2).masked_fill(~mask[:, None, None], MASKED)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        x = x + self.join(seen.transpose(1, 2).reshape(batch, count, width))
        return x + self.own(x)


def normalize_candidates(points: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return candidates relative to their median, in units of their spread, and the spread.

    Args:
        points: coordinates in mm, ``(B, N, coordinates)`` with N of 1 or more.
        mask: true for valid candidates, ``(B, N)``.

    Returns:
        Normalized coordinates of the same shape, zero where masked, and the median distance to the median
        ``(B, 1, 1)``, of 1 mm at least.
    """
    absent = ~mask[..., None]
    center = points.masked_fill(absent, torch.nan).nanmedian(1, keepdim=True).values.nan_to_num()
    offsets = (points - center).masked_fill(absent, 0.0)
    distances = torch.linalg.vector_norm(offsets, dim=-1, keepdim=True).masked_fill(absent, torch.nan)
    spread = distances.nanmedian(1, keepdim=True).values.nan_to_num().clamp(min=1.0)
    return offsets / spread, spread


def _check(in_channels: int, out_channels: int, features: int, width: int, depth: int, heads: int) -> None:
    check_positive(in_channels=in_channels, width=width, depth=depth, heads=heads)
    check_not_negative(features=features)
    if out_channels < 2:
        raise ValueError(f"out_channels must be at least 2, a level and none, got {out_channels}.")
    if width % heads or width < 2:
        raise ValueError(f"width must be at least 2 and a multiple of heads, got {width} and {heads}.")
