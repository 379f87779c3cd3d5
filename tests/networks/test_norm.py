"""Instance normalization through the group-norm kernel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.layers.factories import Norm
from torch import nn

from bundle.networks import GroupedInstanceNorm
from bundle.networks.blocks.norm import with_fast_instance_norm

PEERS = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_numbers_and_gradients_are_those_of_torch(dims: int, affine: bool, training: bool) -> None:
    torch.manual_seed(0)
    own = GroupedInstanceNorm(6, eps=1e-3, affine=affine).train(training)
    peer = PEERS[dims](6, eps=1e-3, affine=affine).train(training)
    for parameter in own.parameters():
        nn.init.normal_(parameter)
    peer.load_state_dict(own.state_dict())
    x = (3 * torch.randn(2, 6, *[5, 6, 7][:dims]) + 2).requires_grad_()
    weight = torch.randn_like(x)
    results = []
    for norm in (own, peer):
        y = norm(x)
        results.append((y, *torch.autograd.grad((y * weight).sum(), [x, *norm.parameters()])))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_state_dicts_are_interchangeable() -> None:
    own, peer = GroupedInstanceNorm(4), nn.InstanceNorm3d(4, affine=True)
    assert own.state_dict().keys() == peer.state_dict().keys()
    own.load_state_dict(peer.state_dict())
    peer.load_state_dict(own.state_dict())


def test_other_devices_keep_the_kernel_of_torch() -> None:
    x = torch.empty(2, 4, 5, 6, device="meta")
    with torch.profiler.profile() as profile:
        y = GroupedInstanceNorm(4).to("meta")(x)
    assert y.shape == x.shape
    assert y.device.type == "meta"
    called = {event.key for event in profile.key_averages()}
    assert "aten::instance_norm" in called
    assert "aten::group_norm" not in called


def test_factory_knows_the_norm_by_name() -> None:
    assert Norm["instance_gn"] is GroupedInstanceNorm


@pytest.mark.parametrize(
    ("norm", "replaced"),
    [
        ("instance", ("instance_gn", {})),
        ("INSTANCE", ("instance_gn", {})),
        (("instance", {"affine": False}), ("instance_gn", {"affine": False})),
        (["Instance", {"eps": 1e-3}], ("instance_gn", {"eps": 1e-3})),
        ("batch", "batch"),
        (("group", {"num_groups": 2}), ("group", {"num_groups": 2})),
        (None, None),
    ],
)
def test_only_instance_normalization_is_replaced(norm: Any, replaced: Any) -> None:
    assert with_fast_instance_norm(norm) == replaced
