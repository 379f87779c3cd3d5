"""Multi-scale large-kernel attention."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from bundle.attention import LargeKernelAttention


def pointwise(conv: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("oc,bc...->bo...", conv.weight.flatten(1), x) + conv.bias.reshape(-1, *[1] * (x.dim() - 2))


def depthwise(conv: torch.nn.Module, x: torch.Tensor, dilation: int) -> torch.Tensor:
    """Correlate every channel with its kernel as a sum of shifted maps; nothing is outside of them."""
    kernel, size = conv.weight.shape[-1], x.shape[2:]
    reach = dilation * (kernel // 2)
    padded = x.new_zeros(*x.shape[:2], *(side + 2 * reach for side in size))
    padded[(..., *(slice(reach, reach + side) for side in size))] = x
    total = conv.bias.reshape(-1, *[1] * len(size)).expand_as(x).clone()
    for tap in product(range(kernel), repeat=len(size)):
        window = tuple(slice(step * dilation, step * dilation + side) for step, side in zip(tap, size, strict=True))
        total = total + padded[(..., *window)] * conv.weight[(slice(None), 0, *tap)].reshape(-1, *[1] * len(size))
    return total


@pytest.mark.parametrize(
    ("dims", "options"),
    [
        (2, {"local_kernel": 5, "kernels": (3, 5, 7), "dilations": (1, 2, 3)}),
        (3, {"local_kernel": 3, "kernels": (3, 1), "dilations": (2, 1)}),
    ],
)
def test_map_is_weighted_by_wide_convolutions_of_itself(dims: int, options: dict) -> None:
    torch.manual_seed(0)
    block = LargeKernelAttention(dims, 4, **options).double()
    x = torch.randn(2, 4, *[7, 9, 5][:dims], dtype=torch.float64)
    entered = pointwise(block.enter[0], x)
    entered = 0.5 * entered * (1 + torch.erf(entered / math.sqrt(2)))
    local = depthwise(block.local, entered, 1)
    scales = [depthwise(conv, local, step) for conv, step in zip(block.scales, options["dilations"], strict=True)]
    expected = pointwise(block.leave, entered * pointwise(block.mix, torch.cat(scales, 1)))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_published_form_is_the_default() -> None:
    published = LargeKernelAttention(2, 4, local_kernel=5, kernels=(3, 5, 7), dilations=(1, 2, 3))
    shapes = [value.shape for value in LargeKernelAttention(2, 4).parameters()]
    assert shapes == [value.shape for value in published.parameters()]


def test_reach_is_that_of_the_widest_scale_after_the_local_kernel() -> None:
    block = LargeKernelAttention(2, 2, local_kernel=5, kernels=(3, 7), dilations=(1, 3)).double()
    x = torch.randn(1, 2, 41, 1, dtype=torch.float64, requires_grad=True)
    block(x)[0, :, 20].sum().backward()
    seen = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (20 - 2 - 9, 20 + 2 + 9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local_kernel": 0}, "local_kernel must be positive and odd, got 0"),
        ({"kernels": []}, "kernels must be one positive and odd size or more"),
        ({"kernels": [3, 5, -1]}, "kernels must be one positive and odd size or more"),
        ({"dilations": [1, 2]}, r"dilations must be 3 numbers of 1 or more, got \[1, 2\]"),
        ({"dilations": [1, 2, 0]}, "dilations must be 3 numbers of 1 or more"),
    ],
)
def test_bad_option_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LargeKernelAttention(2, 4, **options)
