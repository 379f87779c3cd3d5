"""Instance and group normalization on a CPU: fast, and exact in every memory format.

``torch.nn.functional.instance_norm`` folds the batch into the channels and calls batch normalization; ``group_norm``
with one group per channel computes the same numbers 3 to 5 times faster, 1.4 times with the backward pass
(``benchmarks/norm.py``). On other devices the kernel of PyTorch's own instance normalization is kept.

For float32 with the channels innermost, PyTorch 2.13 adds up the values of a channel and their squares one by one: with
128^3 voxels the result is off by 0.01, and more where the mean of a channel is much larger than its deviation, as in
air. Here the sums have two levels and the squares are those of the deviations from the mean: off by 1e-6, the numbers
of contiguous tensors except for rounding. PyTorch's kernel is kept in compiled graphs, which have other sums, and in
half precision, where it is four times as fast; labels in half precision are compared with those in float32
(:mod:`bundle.inference.plan`).

Importing this module adds ``"instance_gn"`` to MONAI's factory ``Norm``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.networks.layers.factories import Norm
from torch import nn
from torch.nn import functional


class GroupedInstanceNorm(nn.GroupNorm):
    """Instance normalization of ``(B, C, ...)``; parameters and numbers are those of ``torch.nn.InstanceNormNd``.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        affine: whether each channel gets a weight and a bias.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(num_features, num_features, eps=eps, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize every channel of every sample over its voxels."""
        if x.device.type == "cpu":
            return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


Norm.add_factory_class("instance_gn", GroupedInstanceNorm)


def group_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Return ``torch.group_norm`` of a map on a CPU, exact where the channels are innermost in float32 too.

    Args:
        x: the map ``(B, C, ...)``.
        num_groups: number of groups of channels that are normalized together.
        weight: factor per channel, or None.
        bias: summand per channel, or None.
        eps: added to the variance.
    """
    if _in_graph() or x.dtype != torch.float32 or not _is_channels_last(x):
        return torch.group_norm(x, num_groups, weight, bias, eps)
    mean, variance = _moments(x)
    if num_groups < x.shape[1]:
        groups = [num_groups, x.shape[1] // num_groups]
        mean, variance = _merged(mean.unflatten(1, groups), variance.unflatten(1, groups), 2)
        mean, variance = mean.expand(-1, -1, groups[1]).flatten(1), variance.expand(-1, -1, groups[1]).flatten(1)
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    per_channel = [x.shape[0], x.shape[1]] + [1] * (x.ndim - 2)
    return torch.addcmul(shift.view(per_channel), x, scale.view(per_channel))


def _in_graph() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _is_channels_last(x: torch.Tensor) -> bool:
    """Return whether PyTorch may take the channels of a map as the innermost axis; one voxel has no order."""
    return 4 <= x.ndim <= 5 and x.stride(1) <= x.stride(-1) and x.numel() > x.shape[0] * x.shape[1]


def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance of every channel, ``(B, C)``.

    The statistics of batch normalization are those of some hundred voxels each: the channels of some rows of voxels
    are taken as so many channels. They have no gradient.
    """
    rows = x.movedim(1, -1)
    if torch.is_grad_enabled() and x.requires_grad:
        variance, mean = torch.var_mean(rows.flatten(1, -2), 1, correction=0)
        return mean, variance
    width = x.shape[-1] * math.gcd(x.shape[-2], 8)
    parts = [
        torch.batch_norm_update_stats(sample.reshape(-1, width * x.shape[1]), None, None, 0.0)
        for sample in rows.unbind()
    ]
    shape = [x.shape[0], width, x.shape[1]]
    means, variances = torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])
    mean, variance = _merged(means.view(shape), variances.view(shape), 1)
    return mean.squeeze(1), variance.squeeze(1)


def _merged(means: torch.Tensor, variances: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance of equally many values each, taken together along an axis, which is kept."""
    mean = means.mean(dim, keepdim=True)
    return mean, variances.mean(dim, keepdim=True) + (means - mean).square().mean(dim, keepdim=True)


def with_fast_instance_norm(norm: Any) -> Any:
    """Replace the name ``"instance"`` in a MONAI norm option by the grouped form; leave every other option alone.

    Args:
        norm: a name, a pair of a name and options, or None.
    """
    name, options = (norm, {}) if norm is None or isinstance(norm, str) else (norm[0], dict(norm[1]))
    if name is None or name.lower() != "instance":
        return norm
    return ("instance_gn", options)
