"""What the feature trunks have in common, and what every one of them must do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.attention import scripts
from monai.networks.layers.factories import Act
from torch import nn

from bundle.attention import ProgressiveAttention
from bundle.networks.backbones.trunk import Trunk, feature_sizes, scaled, stride_and_dilations
from bundle.networks.backbones.trunk_factory import get_trunk

SMALL: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"width": 1 / 4},
    "resnet": {"width": 1 / 16, "depth": [1, 2, 1, 1]},
    "vgg": {"width": 1 / 16},
    "xception": {"width": 1 / 16, "middle_blocks": 1, "output_stride": 32},
}
ODD_SIZE = [65, 50, 39]

every_trunk = pytest.mark.parametrize("name", SMALL)
dilating_trunk = pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet", "xception"])
both_dims = pytest.mark.parametrize("dims", [2, 3])


def build(name: str, dims: int = 2, in_channels: int = 3, **options: Any) -> Trunk:
    torch.manual_seed(0)
    return get_trunk((name, {**SMALL[name], **options}), dims, in_channels)


def sample(dims: int = 2, size: list[int] | None = None, channels: int = 3) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, channels, *(size or ODD_SIZE[:dims]))


@every_trunk
@both_dims
def test_features_have_the_channels_and_strides_that_the_trunk_states(name: str, dims: int) -> None:
    trunk, x = build(name, dims), sample(dims)
    shapes = [feature.shape for feature in trunk(x)]
    assert trunk.strides == [2, 4, 8, 16, 32]
    assert shapes == [
        (2, channels, *(-(-size // stride) for size in x.shape[2:]))
        for channels, stride in zip(trunk.channels, trunk.strides, strict=True)
    ]


@dilating_trunk
@pytest.mark.parametrize("output_stride", [8, 16])
@both_dims
def test_dilated_features_hold_the_strided_ones_exactly(name: str, output_stride: int, dims: int) -> None:
    strided, dilated = build(name, dims).double().eval(), build(name, dims, output_stride=output_stride).double().eval()
    dilated.load_state_dict(strided.state_dict())
    x = sample(dims).double()
    assert dilated.strides == [min(stride, output_stride) for stride in strided.strides]
    for ours, wanted, stride in zip(dilated(x), strided(x), strided.strides, strict=True):
        step = max(stride // output_stride, 1)
        every = ours[(..., *[slice(None, None, step)] * dims)]
        torch.testing.assert_close(every, wanted, rtol=0, atol=1e-11)


@every_trunk
@both_dims
def test_gradients_reach_the_input_and_every_parameter(name: str, dims: int) -> None:
    trunk, x = build(name, dims, norm="instance", attention=("se", {"reduction": 1})), sample(dims).requires_grad_()
    trunk(x)[-1].square().mean().backward()
    for key, tensor in [("input", x), *trunk.named_parameters()]:
        assert tensor.grad is not None, key
        assert tensor.grad.isfinite().all(), key
        assert tensor.grad.any(), key


@scripts
@every_trunk
@both_dims
def test_script_equals_eager(name: str, dims: int) -> None:
    trunk, x = build(name, dims, norm="instance"), sample(dims)
    torch.testing.assert_close(torch.jit.script(trunk)(x), trunk(x))


@pytest.mark.parametrize(
    ("name", "output_stride", "slices"),
    [
        *((name, 32, [20, 10, 5, 3, 2]) for name in SMALL),
        *((name, 16, [20, 10, 5, 3, 3]) for name in ("efficientnet_lite0", "resnet", "xception")),
        *((name, 8, [20, 10, 5, 5, 5]) for name in ("efficientnet_lite0", "resnet", "xception")),
    ],
)
def test_every_feature_ends_in_attention_for_its_size(name: str, output_stride: int, slices: list[int]) -> None:
    trunk = build(name, 3, attention="pam", spatial_size=[64, 48, 40], output_stride=output_stride)
    assert all(isinstance(gate, ProgressiveAttention) for gate in trunk.gates)
    assert [gate.slice.slices for gate in trunk.gates] == slices
    assert [gate.slice.weight1.shape[0] for gate in trunk.gates] == trunk.channels


@every_trunk
def test_what_follows_sees_the_weighted_feature(name: str) -> None:
    trunk = build(name).eval()
    plain = trunk(sample())
    for place in range(5):
        trunk.gates[place] = nn.Threshold(float("inf"), 0.5)
        gated = trunk(sample())
        assert (gated[place] == 0.5).all()
        assert all(torch.equal(*pair) for pair in zip(gated[:place], plain[:place], strict=True))
        assert not any(torch.equal(*pair) for pair in zip(gated[place:], plain[place:], strict=True))
        trunk.gates[place] = nn.Identity()


@every_trunk
def test_activation_and_norm_reach_every_layer(name: str) -> None:
    kinds = {type(module) for module in build(name, act="mish", norm=("group", {"num_groups": 2})).modules()}
    assert {Act["mish"], nn.GroupNorm} < kinds
    assert not kinds & {nn.ReLU, nn.BatchNorm2d}


@every_trunk
def test_norm_and_activation_may_be_absent(name: str) -> None:
    trunk = build(name, act=None, norm=None)
    assert not {type(module) for module in trunk.modules()} & {nn.ReLU, nn.BatchNorm2d}
    assert all(feature.isfinite().all() for feature in trunk(sample()))


@every_trunk
def test_input_shorter_than_the_last_stride_is_refused(name: str) -> None:
    trunk = build(name).eval()
    assert trunk(sample(size=[32, 33]))[-1].shape[2:] == (1, 2)
    with pytest.raises(ValueError, match=r"^every spatial axis needs at least 32 voxels, got \[40, 31\]"):
        trunk(sample(size=[40, 31]))


@dilating_trunk
@pytest.mark.parametrize("norm", ["instance", ("INSTANCE", {"affine": False})])
def test_last_feature_of_one_voxel_is_refused_where_the_norm_would_erase_it(name: str, norm: Any) -> None:
    trunk = build(name, norm=norm, output_stride=16)
    assert trunk(sample(size=[16, 17]))[-1].any()
    with pytest.raises(ValueError, match=r"^norm instance would erase .* more than 16 voxels, got \[16, 16\]"):
        trunk(sample(size=[16, 16]))


def test_last_feature_of_one_voxel_is_sound_where_no_norm_meets_it() -> None:
    assert build("vgg", norm="instance")(sample(size=[32, 32]))[-1].any()


@every_trunk
@pytest.mark.parametrize("stride", [4, 12, 64])
def test_unknown_output_stride_is_refused(name: str, stride: int) -> None:
    with pytest.raises(ValueError, match=rf"^output_stride must be .*32.*, got {stride}"):
        build(name, output_stride=stride)


@every_trunk
@pytest.mark.parametrize("dims", [1, 4])
def test_only_images_and_volumes_are_taken(name: str, dims: int) -> None:
    with pytest.raises(ValueError, match=f"^spatial_dims must be 2 or 3, got {dims}"):
        build(name, dims)


@every_trunk
def test_width_scales_every_layer_and_must_be_positive(name: str) -> None:
    half, whole = build(name, width=SMALL[name]["width"] / 2), build(name)
    assert [2 * channels for channels in half.channels] == pytest.approx(whole.channels, abs=1)
    with pytest.raises(ValueError, match=r"^width must be positive, got 0"):
        build(name, width=0)


def test_scaled_widths_are_rounded_and_never_vanish() -> None:
    assert scaled((64, 100, 728), 1) == [64, 100, 728]
    assert scaled((64, 100, 728), 0.01) == [1, 1, 7]


def test_feature_sizes_are_rounded_up_and_none_where_unknown() -> None:
    assert feature_sizes([33, 8, 1], [2, 8]) == [[17, 4, 1], [5, 1, 1]]
    assert feature_sizes(None, [2, 8]) == [None, None]


@pytest.mark.parametrize(
    ("stride", "output_stride", "wanted"),
    [
        (8, 32, (2, 1, 1)),
        (32, 32, (2, 1, 1)),
        (32, 16, (1, 1, 2)),
        (16, 8, (1, 1, 2)),
        (32, 8, (1, 2, 4)),
        (8, 8, (2, 1, 1)),
    ],
)
def test_a_stride_beyond_the_last_one_becomes_dilation(
    stride: int, output_stride: int, wanted: tuple[int, ...]
) -> None:
    assert stride_and_dilations(stride, output_stride) == wanted
