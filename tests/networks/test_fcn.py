"""FCN; what it shares with other networks is tested by the contract of the networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.attention import scripts
from torch import nn
from torch.nn import functional

from bundle.networks.fcn import FCN, bilinear_deconv, crop

TRUNKS: dict[str, Any] = {
    "vgg": ("vgg", {"width": 1 / 16}),
    "resnet": ("resnet", {"depth": [1, 1, 1, 1], "width": 1 / 16}),
}
every_trunk = pytest.mark.parametrize("trunk", TRUNKS.values(), ids=TRUNKS)
every_stride = pytest.mark.parametrize("stride", [8, 16, 32])
both_dims = pytest.mark.parametrize("dims", [2, 3])


def build(dims: int, trunk: Any = TRUNKS["vgg"], **options: Any) -> FCN:
    torch.manual_seed(0)
    return FCN(dims, 1, 3, trunk=trunk, **{"fc_channels": 8, "norm": "instance", "dropout": None, **options})


def sample(dims: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 1, *[33, 43, 35][:dims])


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_parameters_are_those_of_the_paper(stride: int) -> None:
    with torch.device("meta"):
        number = sum(parameter.numel() for parameter in FCN(2, 3, 21, stride=stride, norm=None).parameters())
    vgg = 14_714_688 + (49 * 512 + 1) * 4096 + (4096 + 1) * 4096
    finer = {8: (512 + 256 + 2) * 21, 16: (512 + 1) * 21, 32: 0}[stride]
    kernels = {8: 16 + 16 + 256, 16: 16 + 1024, 32: 4096}[stride]
    assert number == vgg + (4096 + 1) * 21 + finer + kernels * 21 * 21


def test_fcn_8s_is_that_of_the_definition() -> None:
    """The whole network, composed of functions from its weights alone."""
    network = build(2, norm=None).double()
    for value in network.parameters():
        value.data.add_(0.05 * torch.randn_like(value))
    x = sample(2).double()
    state = list(network.state_dict().values())
    trunk, rest = state[:26], iter(state[26:])
    maps, y = [], x
    for convs in (2, 2, 3, 3, 3):
        for _ in range(convs):
            y = functional.conv2d(y, trunk.pop(0), trunk.pop(0), padding=1).relu()
        odd = [0, y.shape[3] % 2, 0, y.shape[2] % 2]
        y = functional.max_pool2d(functional.pad(y, odd, value=-torch.inf), 2)
        maps.append(y)
    y = functional.conv2d(y, next(rest), next(rest), padding=3).relu()
    y = functional.conv2d(y, next(rest), next(rest)).relu()
    y = functional.conv2d(y, next(rest), next(rest))
    ups, scores = [next(rest), next(rest)], [(next(rest), next(rest)), (next(rest), next(rest))]
    for up, score, finer in zip(ups, scores, [maps[3], maps[2]], strict=True):
        y = functional.conv_transpose2d(y, up, stride=2)[..., 1:, 1:]
        y = y[..., : finer.shape[2], : finer.shape[3]] + functional.conv2d(finer, *score)
    y = functional.conv_transpose2d(y, next(rest), stride=8)[..., 4 : 4 + x.shape[2], 4 : 4 + x.shape[3]]
    assert not list(rest)
    torch.testing.assert_close(network(x), y, rtol=0, atol=1e-11)


@scripts
@every_trunk
@every_stride
@both_dims
def test_logits_have_the_size_of_the_input_and_script_equals_eager(dims: int, trunk: Any, stride: int) -> None:
    network, x = build(dims, trunk, stride=stride), sample(dims)
    y = network(x)
    assert y.shape == (1, 3, *x.shape[2:])
    torch.testing.assert_close(torch.jit.script(network)(x), y, rtol=1e-4, atol=1e-5)


@every_trunk
@every_stride
@both_dims
def test_gradients_reach_the_input_and_every_parameter(dims: int, trunk: Any, stride: int) -> None:
    network, x = build(dims, trunk, stride=stride, attention=("se", {"reduction": 1})), sample(dims).requires_grad_()
    network(x).square().mean().backward()
    for name, tensor in [("input", x), *network.named_parameters()]:
        assert tensor.grad is not None, name
        assert tensor.grad.any(), name


def test_export_with_the_other_trunk_equals_eager() -> None:
    network, x = build(2, TRUNKS["resnet"], attention="se").eval(), sample(2)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)


@every_trunk
def test_published_norm_trains(trunk: Any) -> None:
    network = build(2, trunk, norm="batch", dropout=0.5)
    network(sample(2)).square().mean().backward()
    assert nn.BatchNorm2d in {type(module) for module in network.modules()}


@every_trunk
def test_dropout_precedes_the_scores(trunk: Any) -> None:
    network = build(2, trunk, dropout=0.5)
    assert isinstance(network.fully[-1], nn.Dropout2d)
    assert sum(isinstance(layer, nn.Dropout2d) for layer in network.fully) == (2 if trunk[0] == "vgg" else 1)


@pytest.mark.parametrize("stride", [2, 8])
@pytest.mark.parametrize(("dims", "mode"), [(2, "bilinear"), (3, "trilinear")])
def test_transposed_convolution_starts_as_interpolation(stride: int, dims: int, mode: str) -> None:
    layer, x = bilinear_deconv(dims, 2, stride), torch.randn(1, 2, *[6, 5, 4][:dims])
    inside = (..., *[slice(stride, -stride)] * dims)
    wanted = functional.interpolate(x, scale_factor=float(stride), mode=mode, align_corners=False)
    assert layer(x).shape == wanted.shape
    torch.testing.assert_close(layer(x)[inside], wanted[inside])


def test_crop_cuts_at_the_end() -> None:
    x = torch.arange(24.0).view(1, 2, 3, 4)
    assert torch.equal(crop(x, [2, 3]), x[..., :2, :3])


def test_too_small_input_is_refused() -> None:
    with pytest.raises(ValueError, match="every spatial axis needs at least 32 voxels"):
        build(2)(torch.randn(1, 1, 31, 40))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("stride", 4),
        ("trunk", "xception"),
        ("trunk", ["vgg", 3]),
        ("trunk", ["vgg", {"depth": 19}]),
        ("fc_channels", 0),
        ("dropout", -1),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        build(2, **{option: value})
