"""The score, the structures and the layer that are mapped."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.explained import NAMES, Linear
from torch import nn

from bundle.explain.cam_methods import MaskedScore, find_layer, select_structures
from bundle.networks import AttentionUNet, AttentionVNet


def test_the_score_of_a_class_is_the_sum_of_its_logits_over_its_voxels() -> None:
    logits = torch.randn(2, 3, 2, 2, 2, dtype=torch.float64)
    labels = logits.argmax(1, keepdim=True)
    scores = MaskedScore(nn.Identity())(logits, labels)
    for sample in range(2):
        for value in range(3):
            voxels = logits[sample, value][labels[sample, 0] == value]
            assert float(scores[sample, value].detach()) == pytest.approx(float(voxels.sum()))


@pytest.mark.parametrize(("structure", "expected"), [(None, NAMES), ("b", {"b": 2}), (1, {"a": 1}), ("2", {"b": 2})])
def test_a_structure_is_chosen_by_name_or_value(structure: Any, expected: dict[str, int]) -> None:
    assert select_structures(NAMES, structure) == expected


@pytest.mark.parametrize("structure", ["c", 0, 3])
def test_a_structure_must_exist(structure: Any) -> None:
    with pytest.raises(ValueError, match=rf"cam_class {structure!r} is none of the structures a \(1\), b \(2\)"):
        select_structures(NAMES, structure)


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (AttentionUNet(3, 1, 2, channels=[2, 2, 2], attention=None), "decoders.0"),
        (AttentionUNet(3, 1, 2, channels=[2, 2], attention=None), "encoders.1"),
        (AttentionVNet(3, 1, 2, channels=[2, 2, 2, 2], levels={"convs": [1, 1, 1]}, attention=None), "decoders.1"),
        (AttentionVNet(3, 1, 2, channels=[2, 2], levels={"convs": [1]}, attention=None), "bottleneck"),
    ],
    ids=["unet", "flat unet", "vnet", "flat vnet"],
)
def test_the_default_layer_is_the_decoder_level_before_the_last_or_the_deepest(network: nn.Module, layer: str) -> None:
    assert find_layer(network, None) == layer
    assert find_layer(network, "encoders.0") == "encoders.0"


@pytest.mark.parametrize("layer", [None, "no", "", "encoders"])
def test_a_layer_that_does_not_exist_is_refused_with_those_that_do(layer: str | None) -> None:
    network = Linear() if layer is None else AttentionUNet(3, 1, 2, channels=[2, 2], attention=None)
    known = "layer, head, idle" if layer is None else "encoders.0, encoders.1"
    with pytest.raises(ValueError, match=rf"cam_layer must be a layer of \w+, got {layer!r}; choose one of .*{known}"):
        find_layer(network, layer)
