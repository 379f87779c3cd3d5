"""VGG-16 as a trunk; what it shares with other trunks is tested in ``test_trunk.py``."""

from __future__ import annotations

import torch
from torch import nn

from bundle.networks.backbones.vgg import VGGTrunk


def test_parameters_without_normalization_are_the_published_number() -> None:
    with torch.device("meta"):
        trunk = VGGTrunk(2, 3, norm=None)
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 14_714_688


def test_features_are_the_maps_after_the_poolings() -> None:
    trunk, x = VGGTrunk(2, 3, norm=None, width=1 / 16), torch.randn(1, 3, 32, 64)
    convs = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    features = trunk(x)
    for place, number in enumerate([2, 2, 3, 3, 3]):
        for _ in range(number):
            x = convs.pop(0)(x).relu()
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
        torch.testing.assert_close(features[place], x)
    assert not convs
