"""Atrous spatial pyramid pooling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.attention import scripts
from torch import nn
from torch.nn import functional

from bundle.networks.blocks.aspp import ASPP
from bundle.networks.blocks.convolution import SeparableConv


def test_pyramid_is_that_of_the_definition() -> None:
    torch.manual_seed(0)
    aspp, x = ASPP(2, 5, 4, rates=(2, 4), act="mish", norm="batch").double(), torch.randn(2, 5, 11, 9).double()
    for name, value in aspp.named_parameters():
        torch.nn.init.normal_(value, mean=float("norm" in name))
    state = aspp.state_dict()

    def normalized(y: torch.Tensor, key: str) -> torch.Tensor:
        centered = y - y.mean((0, 2, 3), keepdim=True)
        y = centered / (centered.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        y = y * state[f"{key}.1.weight"].view(-1, 1, 1) + state[f"{key}.1.bias"].view(-1, 1, 1)
        return y * torch.tanh(torch.log1p(y.exp()))

    maps = [normalized(functional.conv2d(x, state["branches.0.0.weight"]), "branches.0")]
    for place, rate in enumerate([2, 4], start=1):
        y = functional.conv2d(x, state[f"branches.{place}.0.weight"], padding=rate, dilation=rate)
        maps.append(normalized(y, f"branches.{place}"))
    pooled = state["pooling.1.0.weight"][..., 0, 0] @ x.mean((2, 3)).T + state["pooling.1.0.bias"].view(-1, 1)
    pooled = (pooled * torch.tanh(torch.log1p(pooled.exp()))).T
    maps.append(pooled.view(2, 4, 1, 1) * torch.ones(11, 9))
    wanted = normalized(functional.conv2d(torch.cat(maps, 1), state["project.0.weight"]), "project")
    for ours, theirs in zip(aspp.pyramid(x), maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(aspp(x), wanted, rtol=0, atol=1e-12)


@scripts
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("separable", [False, True])
def test_size_is_kept_and_script_equals_eager(dims: int, separable: bool) -> None:
    aspp, x = ASPP(dims, 8, 4, separable=separable, norm="instance"), torch.randn(2, 8, *[3, 5, 4][:dims])
    assert aspp(x).shape == (2, 4, *x.shape[2:])
    torch.testing.assert_close(torch.jit.script(aspp)(x), aspp(x))


def test_separable_branches_are_those_of_size_3() -> None:
    kinds = [isinstance(branch, SeparableConv) for branch in ASPP(2, 8, 4, separable=True).branches]
    assert kinds == [False, True, True, True]


def test_image_pooling_trains_with_a_batch_of_one() -> None:
    aspp, x = ASPP(2, 8, 4), torch.randn(1, 8, 2, 2)
    aspp(x).square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in aspp.parameters())


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_image_pooling_distinguishes_images_by_their_brightness(norm: str) -> None:
    aspp, x = ASPP(2, 8, 4, norm=norm, act="mish"), torch.rand(1, 8, 4, 4)
    assert not torch.allclose(aspp.pyramid(x)[-1], aspp.pyramid(2 * x)[-1])


@pytest.mark.parametrize(("dropout", "kind"), [(None, nn.Identity), (0.5, nn.Dropout2d)])
def test_dropout_follows_the_projection(dropout: float | None, kind: type) -> None:
    aspp = ASPP(2, 8, 16, dropout=dropout)
    assert isinstance(aspp.dropout, kind)
    torch.manual_seed(0)
    dropped = (aspp(torch.rand(1, 8, 4, 4)) == 0).flatten(2).all(-1)
    assert dropped.any() == (dropout is not None)


@pytest.mark.parametrize("rates", [[], [6, 0], [-1]])
def test_rates_must_be_positive(rates: Any) -> None:
    with pytest.raises(ValueError, match=r"^rates needs one positive dilation or more"):
        ASPP(2, 8, 4, rates=rates)
