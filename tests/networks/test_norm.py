"""Instance and group normalization on a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.layers.factories import Norm
from torch import nn

from bundle.networks import GroupedInstanceNorm
from bundle.networks.blocks.norm import group_norm, with_fast_instance_norm

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
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


def air(shape: tuple[int, ...]) -> torch.Tensor:
    """Return a map whose mean is much larger than its deviation."""
    return 0.01 * torch.randn(shape) - 0.8


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("make", [torch.randn, air, torch.ones])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_channels_last_is_as_exact_as_contiguous(dims: int, make: Any, channels: int) -> None:
    torch.manual_seed(0)
    norm = GroupedInstanceNorm(channels)
    nn.init.normal_(norm.weight)
    x = make((2, channels, *[[192, 208], [40, 40, 48]][dims - 2]))
    inner = torch.empty(x.shape, memory_format=LAYOUTS[dims]).copy_(x)
    y = norm(inner)
    torch.testing.assert_close(y, norm(x), rtol=1e-5, atol=5e-5)
    torch.testing.assert_close(y, norm.double()(x.double()).float(), rtol=1e-5, atol=5e-5)
    assert y.is_contiguous(memory_format=LAYOUTS[dims])


@pytest.mark.parametrize("view", [lambda x: x[:, ::2], lambda x: x[..., ::2], lambda x: x[:, 1:2], lambda x: x.mT])
def test_parts_and_transposes_of_channels_last_are_exact_too(view: Any) -> None:
    torch.manual_seed(0)
    x = air((1, 6, 40, 44, 48)).contiguous(memory_format=torch.channels_last_3d)
    norm = GroupedInstanceNorm(view(x).shape[1])
    torch.testing.assert_close(norm(view(x)), norm(view(x).contiguous()), rtol=0, atol=5e-5)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("affine", [True, False])
def test_groups_and_gradients_are_those_of_contiguous_maps(groups: int, affine: bool) -> None:
    torch.manual_seed(0)
    parameters = [torch.randn(6, requires_grad=True) for _ in range(2)] if affine else []
    x = torch.randn(2, 6, 3, 4, 5) + 3
    weight = torch.randn_like(x)
    results = []
    for memory_format in (torch.channels_last_3d, torch.contiguous_format):
        leaf = x.contiguous(memory_format=memory_format).requires_grad_()
        y = group_norm(leaf, groups, *parameters)
        results.append((y, *torch.autograd.grad((y * weight).sum(), [leaf, *parameters])))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("x", [torch.randn(2, 4, 5, 6, 7), torch.randn(2, 4, 1, 1, 1), torch.randn(2, 4, 9)])
def test_contiguous_maps_are_those_of_the_kernel_bit_by_bit(x: torch.Tensor) -> None:
    assert torch.equal(group_norm(x, 2), torch.group_norm(x, 2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_keep_the_kernel(dtype: torch.dtype) -> None:
    x = torch.randn(1, 4, 5, 6, 7).to(dtype).contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(group_norm(x, 4), torch.group_norm(x, 4))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_script_and_export_are_exact_with_channels_last() -> None:
    norm, x = GroupedInstanceNorm(4), air((1, 4, 40, 40, 40))
    inner = x.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(torch.jit.script(norm)(inner), norm(inner))
    exported = torch.export.export(norm, (x,)).module()
    assert torch.equal(exported(x), norm(x))


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
