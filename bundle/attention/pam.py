"""Progressive Attention Module: slice attention, key-slice selection, channel attention.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022). It gates
the slices of every channel, selects the key slices of every channel by their gates, and computes the channel gate
from the key slices alone. All slices stay in the output.

Differs from the original code: the three steps are one gate per (sample, channel, slice), see
:mod:`bundle.attention.squeeze`; any batch size; any number of slices at run time; the gradient also flows through the
pooled key slices (``key_gradient=False`` gives the original's); the set of key slices is never empty.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .squeeze import SliceChannelModule


def key_slices(gate: torch.Tensor) -> torch.Tensor:
    """Select the slices whose share of ``softmax(gate)`` over the slices is at least the mean share.

    The mean share of S slices is 1 / S, so the test is ``gate >= logsumexp(gate) - log(S)``. The largest gate always
    passes it except for rounding, which the minimum with the largest gate handles.

    Args:
        gate: gates ``(B, C, S)``.

    Returns:
        Boolean mask ``(B, C, S)`` with at least one slice per sample and channel.
    """
    with torch.no_grad():
        scores = gate.detach()
        if scores.dtype == torch.bfloat16 or scores.dtype == torch.float16:
            scores = scores.float()
        count = torch.ones_like(scores, dtype=torch.float64).sum(-1, keepdim=True)  # a number would fix S in an export
        threshold = torch.logsumexp(scores, dim=-1, keepdim=True) - torch.log(count).to(scores.dtype)
        return scores >= torch.minimum(threshold, torch.amax(scores, dim=-1, keepdim=True))


class ProgressiveAttention(SliceChannelModule):
    """Scale every slice of every channel by ``s * e``: its slice gate times the channel gate of the key slices.

    With the descriptors z of the slices: ``s = sigmoid(MLP_c(z))``, key mask ``m`` by :func:`key_slices`,
    ``q = sum(m s z) / sum(m)`` (average) or ``max(s z over m)`` (maximum), ``e = sigmoid(MLP(q))``.

    Args:
        args: as :class:`bundle.attention.squeeze.SliceChannelModule`, with its errors.
        key_gradient: whether gradients flow through the pooled key slices.
        kwargs: as :class:`bundle.attention.squeeze.SliceChannelModule`.

    Examples:
        >>> block = ProgressiveAttention(3, 16, [8, 8, 10], slice_reduction=4)
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    name = "pam"

    def __init__(self, *args: Any, key_gradient: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key_gradient = key_gradient

    def gate(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Map the descriptors of the slices, each ``(B, C, S)``, to the gate ``(B, C, S)``."""
        gate = self.slice(mean, maximum)
        keys = key_slices(gate)
        weight = keys.to(gate.dtype)
        key_mean = (weight * gate * mean).sum(-1) / weight.sum(-1)
        key_maximum = (gate * maximum).masked_fill(~keys, -math.inf).amax(-1)
        if not self.key_gradient:
            key_mean, key_maximum = key_mean.detach(), key_maximum.detach()
        return gate * self.channel(key_mean, key_maximum).unsqueeze(-1)
