"""ResNet as a trunk; what it shares with other trunks is tested in ``test_trunk.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.nets.resnet import ResNet

from bundle.networks.backbones.resnet import ResNetTrunk


@pytest.mark.parametrize(
    ("depth", "published"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
@pytest.mark.parametrize("output_stride", [8, 32])
def test_parameters_are_the_published_number_with_the_classifier(
    depth: int, published: int, output_stride: int
) -> None:
    with torch.device("meta"):
        trunk = ResNetTrunk(2, 3, depth=depth, output_stride=output_stride)
        classifier = torch.nn.Linear(trunk.channels[-1], 1000)
    modules = (trunk, classifier)
    assert sum(parameter.numel() for module in modules for parameter in module.parameters()) == published


def test_channels_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        assert ResNetTrunk(2, 3).channels == [64, 256, 512, 1024, 2048]
        assert ResNetTrunk(3, 1, depth=18).channels == [64, 64, 128, 256, 512]


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("dims", [2, 3])
def test_last_feature_is_that_of_the_network_of_monai(block: str, dims: int) -> None:
    counts, planes = [1, 2, 1, 2], [4, 8, 16, 32]
    options: dict[str, Any] = {"spatial_dims": dims, "n_input_channels": 2, "conv1_t_stride": 2, "feed_forward": False}
    theirs = ResNet(block, counts, planes, bias_downsample=False, **options).eval()
    ours = ResNetTrunk(dims, 2, depth=counts, block=block, width=1 / 16).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 2, *[40, 37, 33][:dims])
    torch.testing.assert_close(ours(x)[-1].flatten(2).mean(-1), theirs(x))


@pytest.mark.parametrize("dims", [2, 3])
def test_basic_blocks_are_dilated_exactly_too(dims: int) -> None:
    options: dict[str, Any] = {"depth": [1, 1, 2, 2], "block": "basic", "width": 1 / 16}
    strided = ResNetTrunk(dims, 1, **options).double().eval()
    dilated = ResNetTrunk(dims, 1, output_stride=8, **options).double().eval()
    dilated.load_state_dict(strided.state_dict())
    x = torch.randn(1, 1, *[65, 40, 33][:dims], dtype=torch.float64)
    every = dilated(x)[-1][(..., *[slice(None, None, 4)] * dims)]
    torch.testing.assert_close(every, strided(x)[-1], rtol=0, atol=1e-11)


def test_kind_of_block_follows_the_depth_unless_it_is_named() -> None:
    with torch.device("meta"):
        assert not hasattr(ResNetTrunk(2, 3, depth=34).layer1[0], "conv3")
        assert hasattr(ResNetTrunk(2, 3, depth=34, block="bottleneck").layer1[0], "conv3")
        assert hasattr(ResNetTrunk(2, 3, depth=[1, 1, 1, 1]).layer1[0], "conv3")


@pytest.mark.parametrize(
    ("option", "value"),
    [("depth", 49), ("depth", [1, 1, 1]), ("depth", [1, 1, 1, 0]), ("block", "dense"), ("block", "")],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        ResNetTrunk(2, 3, **{option: value})
