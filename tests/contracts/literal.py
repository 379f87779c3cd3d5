"""The formulas of slice and channel attention, spelled out voxel list by voxel list.

Oracles for the tests of the mechanisms: they take the parameters of a block and share no code with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

SIZE = (5, 6, 7)
"""Size of the map of :func:`small_block`; no two axes agree."""


def small_block(
    kind: type[nn.Module], slice_dim: int, slice_pooling: str, channel_pooling: str, **options: bool
) -> nn.Module:
    """Build a mechanism of 8 channels with slice and channel gates, in double precision."""
    torch.manual_seed(0)
    reductions = {"slice_reduction": 2, "channel_reduction": 2}
    poolings = {"slice_pooling": slice_pooling, "channel_pooling": channel_pooling}
    return kind(3, 8, SIZE, slice_dim=slice_dim, **reductions, **poolings, **options).double()


def slices(x: torch.Tensor, sample: int, channel: int, slice_dim: int) -> list[torch.Tensor]:
    """Cut one channel of one sample into its slices."""
    volume = x[sample, channel]
    return [volume.select(slice_dim, index) for index in range(volume.shape[slice_dim])]


def pooled(groups: Sequence[torch.Tensor], pooling: str) -> list[torch.Tensor]:
    """Pool every group of voxels to one number; the list holds one descriptor, or two for ``"avg_and_max"``."""
    mean, maximum = torch.stack([group.mean() for group in groups]), torch.stack([group.max() for group in groups])
    return {"avg": [mean], "max": [maximum], "avg_and_max": [mean, maximum]}[pooling]


def excited(descriptors: Sequence[torch.Tensor], *parameters: torch.Tensor) -> torch.Tensor:
    """Map descriptors through one shared MLP, add the logits and squash them."""
    weight1, bias1, weight2, bias2 = parameters
    logits = [weight2 @ torch.clamp(weight1 @ z + bias1, min=0) + bias2 for z in descriptors]
    return 1 / (1 + torch.exp(-sum(logits)))


def slice_gates(block: nn.Module, channel: int, planes: Sequence[torch.Tensor], pooling: str) -> torch.Tensor:
    """Return the gates of the slices of one channel, from the MLP of that channel."""
    gate = block.slice
    parameters = (gate.weight1[channel], gate.bias1[channel], gate.weight2[channel], gate.bias2[channel])
    return excited(pooled(planes, pooling), *parameters)


def channel_gates(block: nn.Module, groups: Sequence[torch.Tensor], pooling: str, detach: bool = False) -> torch.Tensor:
    """Return the gates of the channels, each squeezed from its group of voxels."""
    descriptors = pooled(groups, pooling)
    first, second = block.channel.fc[0], block.channel.fc[2]
    parameters = (first.weight, first.bias, second.weight, second.bias)
    return excited([z.detach() for z in descriptors] if detach else descriptors, *parameters)


def assert_same_function(block: nn.Module, reference: object, x: torch.Tensor, atol: float = 1e-12) -> None:
    """Compare outputs and gradients, of the input and of every parameter, of a block and of its literal form."""
    weight = torch.randn_like(x)
    results = []
    for function in (block, reference):
        leaf = x.clone().requires_grad_()
        output = function(leaf)  # type: ignore[operator]
        gradients = torch.autograd.grad((output * weight).sum(), [leaf, *block.parameters()])
        results.append((output.detach(), *gradients))
    for got, wanted in zip(*results, strict=True):
        assert wanted.any()
        torch.testing.assert_close(got, wanted, rtol=0, atol=atol)
