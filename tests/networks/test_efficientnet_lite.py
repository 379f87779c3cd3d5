"""EfficientNet-Lite as a trunk; what it shares with other trunks is tested in ``test_trunk.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.networks.backbones.efficientnet_lite import EfficientNetLiteTrunk, InvertedResidual

PUBLISHED = {0: 4_652_008, 1: 5_416_680, 2: 6_092_072, 3: 8_197_096, 4: 13_006_568}
"""Parameters with the classifier of 1000 classes."""

WIDTHS = {
    0: [16, 24, 40, 112, 320],
    1: [16, 24, 40, 112, 320],
    2: [16, 24, 48, 120, 352],
    3: [24, 32, 48, 136, 384],
    4: [24, 32, 56, 160, 448],
}
SMALL: dict[str, Any] = {"width": 1 / 4}


def random_trunk(dims: int = 2, **options: Any) -> EfficientNetLiteTrunk:
    """Return a trunk whose normalizations have statistics as after a training."""
    torch.manual_seed(0)
    trunk = EfficientNetLiteTrunk(dims, 3, **{**SMALL, **options}).double().eval()
    for module in trunk.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return trunk


def tensorflow_conv(x: torch.Tensor, weight: torch.Tensor, stride: int, groups: int = 1) -> torch.Tensor:
    """Convolve with TensorFlow's padding ``SAME``: the size divided by the stride, rounded up; the odd zero after."""
    for axis, size in ((2, x.shape[2]), (3, x.shape[3])):
        missing = max((-(-size // stride) - 1) * stride + weight.shape[axis] - size, 0)
        pads = (missing // 2, missing - missing // 2)
        x = functional.pad(x, (0, 0, *pads) if axis == 2 else (*pads, 0, 0))
    return functional.conv2d(x, weight, stride=stride, groups=groups)


def literal_features(state: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    """Compute the features of version 0 from the names and values of its weights, as published."""

    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        numbers = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(y, *numbers, eps=1e-3)

    x = norm(tensorflow_conv(x, state["_conv_stem.weight"], 2), "_bn0").clamp(0, 6)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    features = []
    for block, stride in enumerate(strides):
        name, y = f"_blocks.{block}", x
        if f"{name}._expand_conv.weight" in state:
            y = norm(functional.conv2d(y, state[f"{name}._expand_conv.weight"]), f"{name}._bn0").clamp(0, 6)
        weight = state[f"{name}._depthwise_conv.weight"]
        y = norm(tensorflow_conv(y, weight, stride, groups=len(weight)), f"{name}._bn1").clamp(0, 6)
        y = norm(functional.conv2d(y, state[f"{name}._project_conv.weight"]), f"{name}._bn2")
        x = y + x if stride == 1 and y.shape == x.shape else y
        if block in (0, 2, 4, 10, 15):
            features.append(x)
    if "_conv_head.weight" in state:
        features[-1] = norm(functional.conv2d(x, state["_conv_head.weight"]), "_bn1").clamp(0, 6)
    return features


@pytest.mark.parametrize("version", PUBLISHED)
def test_parameters_and_channels_are_the_published_ones(version: int) -> None:
    with torch.device("meta"):
        trunk = EfficientNetLiteTrunk(2, 3, version=version, head=True)
        classifier = nn.Linear(trunk.channels[-1], 1000)
        plain = EfficientNetLiteTrunk(2, 3, version=version)
    assert sum(p.numel() for module in (trunk, classifier) for p in module.parameters()) == PUBLISHED[version]
    assert trunk.channels == [*WIDTHS[version][:-1], 1280]
    assert plain.channels == WIDTHS[version]


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (160, 32)])
def test_features_of_even_sizes_are_those_of_the_definition(head: bool, size: tuple[int, int]) -> None:
    trunk, x = random_trunk(head=head), torch.randn(2, 3, *size, dtype=torch.float64)
    for ours, wanted in zip(trunk(x), literal_features(trunk.state_dict(), x), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-10)


def test_blocks_are_summed_with_their_input_where_the_size_stays() -> None:
    trunk = EfficientNetLiteTrunk(2, 3, **SMALL)
    blocks = [module for module in trunk.modules() if isinstance(module, InvertedResidual)]
    assert [block.residual is not None for block in blocks] == [
        *(False, False, True, False, True, False, True, True, False, True, True, False, True, True, True, False)
    ]


def test_the_stride_that_dilation_replaces_gives_no_sum() -> None:
    trunk = EfficientNetLiteTrunk(2, 3, **SMALL, output_stride=8)
    strided = EfficientNetLiteTrunk(2, 3, **SMALL)
    sums = [
        [block.residual is None for block in net.modules() if isinstance(block, InvertedResidual)]
        for net in (trunk, strided)
    ]
    assert sums[0] == sums[1]


@pytest.mark.parametrize(("option", "value"), [("version", 5), ("width", 0), ("output_stride", 4)])
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        EfficientNetLiteTrunk(2, 3, **{option: value})
