"""Instance normalization and the following slice mechanism in one pass over the map.

The slice means of a normalized map follow from those of the map itself, so the normalization and the gate are together
one scale and one shift per (sample, channel, slice): the map is read twice and written once, instead of writing the
normalized map, reading, scaling and writing it again. Equal to the two modules in turn except for rounding: the
variance is ``E[x^2] - E[x]^2``, which loses digits where the mean of a channel is much larger than its deviation. Under
autocast, in half precision, in TorchScript and while a graph is captured the two modules run in turn.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from monai.networks.blocks import ADN
from torch import nn

from bundle.attention.squeeze import SliceChannelModule

from .convolution import ConvADN
from .norm import GroupedInstanceNorm

CACHE = 2**20
"""Bytes of a map that are processed at once in the backward pass."""


class FusedLevel(nn.Sequential):
    """A stack of convolutions and its attention, run with the last normalization and the attention as one.

    The modules and the keys of the state dict are those of ``nn.Sequential(stack, attention)``.

    Args:
        stack: convolutions, the last of which ends in an affine instance normalization.
        attention: a slice and channel mechanism (``csa``, ``sca``, ``pam``) with average pooling.

    Raises:
        ValueError: when the two cannot be run as one.
    """

    def __init__(self, stack: nn.Sequential, attention: nn.Module) -> None:
        super().__init__(stack, attention)
        if not isinstance(attention, SliceChannelModule) or attention.squeeze.use_max:
            raise ValueError("fused must be false unless attention is 'csa', 'sca' or 'pam' with average pooling.")
        last = _adn(stack)[-1]
        if not isinstance(last, GroupedInstanceNorm) or not last.affine:
            raise ValueError("fused must be false unless every convolution ends in an affine instance normalization.")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the modules in turn return."""
        # TorchScript leaves out the branch of this condition alone.
        if not torch.jit.is_scripting():  # noqa: SIM102 # pragma: no branch
            if _can_fuse(x):
                return self._fused(x)
        for module in self:
            x = module(x)
        return x

    def _fused(self, x: torch.Tensor) -> torch.Tensor:
        stack, attention = cast(nn.Sequential, self[0]), cast(SliceChannelModule, self[1])
        for module in list(stack)[:-1]:
            x = module(x)
        x = cast(nn.Sequential, stack[-1])[0](x)
        layers = _adn(stack)
        for layer in layers[:-1]:
            x = layer(x)
        return normalize_and_weight(x, cast(GroupedInstanceNorm, layers[-1]), attention)


def normalize_and_weight(x: torch.Tensor, norm: GroupedInstanceNorm, attention: SliceChannelModule) -> torch.Tensor:
    """Return ``attention(norm(x))`` of a map ``(B, C, D, H, W)`` as one scale and shift per slice.

    Args:
        x: the map, in single or double precision.
        norm: an affine instance normalization.
        attention: a slice and channel mechanism with average pooling.
    """
    return _NormalizeAndWeight.apply(x, norm, attention, *norm.parameters(), *attention.parameters())


def _affine(
    slice_mean: torch.Tensor, power: torch.Tensor, norm: GroupedInstanceNorm, attention: SliceChannelModule
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift ``(B, C, S)`` from the slice means ``(B, C, S)`` and the mean squares ``(B, C, 1)``."""
    mean = slice_mean.mean(-1, keepdim=True)
    deviation = torch.rsqrt((power - mean.square()).clamp_min(0) + norm.eps)
    scale = norm.weight[:, None] * deviation
    shift = norm.bias[:, None] - scale * mean
    descriptor = scale * slice_mean + shift
    gate = attention.gate(descriptor, descriptor)
    return scale * gate, shift * gate


def _can_fuse(x: torch.Tensor) -> bool:
    wide = x.dtype in (torch.float32, torch.float64)
    return wide and not torch.is_autocast_enabled(x.device.type) and not torch.compiler.is_compiling()


def _adn(stack: nn.Sequential) -> list[nn.Module]:
    """Return the layers after the last convolution of a stack."""
    last = stack[-1]
    return list(last[1]) if isinstance(last, ConvADN) and len(last) > 1 and isinstance(last[1], ADN) else [last]


def _expand(value: torch.Tensor, plane: list[int]) -> torch.Tensor:
    """Add the two axes of the plane, of length 1, to ``(B, C, S)``."""
    for axis in plane:
        value = value.unsqueeze(axis)
    return value


def _slice_sums(x: torch.Tensor, grad: torch.Tensor, plane: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sums of ``grad * x`` and of ``grad`` over every slice, each ``(B, C, S)``."""
    axes = [axis - 1 for axis in plane]
    parts = zip(_parts(x), _parts(grad), strict=True)
    sums = [((part_grad * part).sum(axes), part_grad.sum(axes)) for part, part_grad in parts]
    products, totals = (torch.cat(values).unflatten(0, x.shape[:2]) for values in zip(*sums, strict=True))
    return products, totals


def _combine(
    x: torch.Tensor, grad: torch.Tensor, scale: torch.Tensor, mean_grad: torch.Tensor, power_grad: torch.Tensor
) -> torch.Tensor:
    """Return ``grad * scale + mean_grad + x * power_grad``; the last three are numbers per slice or channel."""
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows = [value.expand(x.shape[:2] + value.shape[2:]) for value in (scale, mean_grad, power_grad)]
    parts = *map(_parts, (result, x, grad)), *(_parts(row, x) for row in rows)
    for out, part, part_grad, a, b, c in zip(*parts, strict=True):
        torch.addcmul(b, part, c, out=out).addcmul_(part_grad, a)
    return result


def _parts(values: torch.Tensor, like: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
    """Split a map into groups of channels that stay in the processor's cache between two operations."""
    reference = values if like is None else like
    channels = max(CACHE // (reference[0, 0].numel() * reference.element_size()), 1)
    return values.flatten(0, 1).split(channels)


class _NormalizeAndWeight(torch.autograd.Function):
    """``x * scale + shift`` with both computed from x, and a backward pass that reads x twice and writes once.

    The graph from the moments of x to scale and shift is small and is kept from the forward pass. The parameters are
    inputs only for autograd to route their gradients.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, norm: GroupedInstanceNorm, attention: SliceChannelModule, *parameters: torch.Tensor
    ) -> torch.Tensor:
        plane = attention.squeeze.plane
        flat = x.reshape(x.shape[0], x.shape[1], -1)
        power = torch.linalg.vector_norm(flat, dim=-1, keepdim=True).square() / flat.shape[-1]
        moments = torch.mean(x, plane).requires_grad_(), power.requires_grad_()
        with torch.enable_grad():
            affine = _affine(*moments, norm, attention)
        ctx.save_for_backward(x, *parameters)
        ctx.graph, ctx.plane = (moments, affine), plane
        scale, shift = (_expand(value.detach(), plane) for value in affine)
        return torch.addcmul(shift, x, scale)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, *parameters = ctx.saved_tensors
        moments, affine = ctx.graph
        wanted = [*moments, *(parameter for parameter in parameters if parameter.requires_grad)]
        grads = torch.autograd.grad(affine, wanted, _slice_sums(x, grad, ctx.plane), True)
        slice_voxels = x.shape[ctx.plane[0]] * x.shape[ctx.plane[1]]
        terms = affine[0].detach(), grads[0] / slice_voxels, 2 * grads[1] / x[0, 0].numel()
        x_grad = _combine(x, grad, *(_expand(term, ctx.plane) for term in terms))
        found = iter(grads[2:])
        return x_grad, None, None, *(next(found) if item.requires_grad else None for item in parameters)
