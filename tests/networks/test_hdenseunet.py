"""H-DenseUNet; what it shares with other networks is tested in ``test_network_factory.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.options import with_options
from torch import nn
from torch.nn import functional

from bundle.attention import ProgressiveAttention
from bundle.networks.blocks.dense import LAYERS_3D
from bundle.networks.denseunet import DenseUNet
from bundle.networks.hdenseunet import HDenseUNet, neighborhoods

SMALL: dict[str, Any] = {
    "branch_2d": {"blocks": (1, 2), "growth": 4, "stem": 6, "decoder": (7, 6, 8)},
    "branch_3d": {"blocks": (2, 1), "growth": 3, "stem": 5, "decoder": (6, 7, 8)},
    "dropout": 0.0,
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("slice_dim", [0, 1, -1])
def test_network_equals_its_literal_form_slice_by_slice(slice_dim: int) -> None:
    torch.manual_seed(0)
    options = {**SMALL, "norm": "instance", "slice_dim": slice_dim, "score_scale": 250}
    network = HDenseUNet(3, 2, 3, **options).double()
    shape = [8, 11, 8]
    shape[slice_dim] = 5
    x = torch.randn(2, 2, *shape, dtype=torch.float64)
    axis = slice_dim % 3 + 2
    with torch.no_grad():
        planes = x.unbind(axis)
        features, scores = [], []
        for index, plane in enumerate(planes):
            previous, following = planes[max(index - 1, 0)], planes[min(index + 1, 4)]
            features.append(network.slices(torch.cat([previous, plane, following], dim=1), 0))
            scores.append(functional.conv2d(features[-1], network.scores.weight, network.scores.bias))
        volume = network.volume(torch.cat([x, 250 * torch.stack(scores, dim=axis)], dim=1), 0)
        fused = network.fusion[0](volume + torch.stack(features, dim=axis))
        mean, deviation = fused.mean((2, 3, 4), keepdim=True), fused.var((2, 3, 4), unbiased=False, keepdim=True)
        fused = ((fused - mean) / (deviation + 1e-5).sqrt()).clamp_min(0)
        wanted = functional.conv3d(fused, network.head.weight, network.head.bias)
        torch.testing.assert_close(network(x), wanted, rtol=0, atol=1e-9)


def test_first_and_last_slice_are_their_own_neighbors() -> None:
    x = torch.arange(4.0).expand(1, 1, 2, 2, 4)
    seen = neighborhoods(x, 4)[0, :, 0, 0]
    assert seen.tolist() == [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]


def test_default_network_has_the_parts_of_the_paper() -> None:
    with torch.device("meta"):
        network = HDenseUNet(3, 1, 3)
        plane = DenseUNet(2, 3, 3)
        volume = DenseUNet(3, 4, 3, layers=LAYERS_3D, slice_dim=-1)
    fusion = 27 * 64 * 64 + 2 * 64 + 64 * 3 + 3
    assert count(network) == count(plane) + count(volume.features) + fusion
    assert [len(block) for block in network.volume.blocks] == [3, 4, 12, 8]
    assert [norm[2].N.num_features for norm in network.volume.convs] == [504, 224, 192, 96]
    assert network.volume.transitions[-1].N.num_features == 504


def test_attention_sees_the_volume_in_both_networks() -> None:
    network = HDenseUNet(3, 1, 2, attention="pam", spatial_size=(64, 48, 40), **SMALL)
    of_slices, of_volume = ([gate.layer for gate in part.gates] for part in (network.slices, network.volume))
    assert all(isinstance(gate, ProgressiveAttention) for gate in (*of_slices, *of_volume))
    assert [gate.slice.slices for gate in of_slices] == [40, 40]
    assert [gate.slice.slices for gate in of_volume] == [10, 10]


def test_attention_of_the_slices_equals_that_of_the_volume_of_their_maps() -> None:
    network = HDenseUNet(3, 1, 2, attention="pam", spatial_size=(16, 16, 6), **SMALL)
    gate, maps = network.slices.gates[0], torch.randn(2, 10, 4, 5, 6)
    slices = torch.stack([maps[sample, ..., index] for sample in range(2) for index in range(6)])
    wanted = gate.layer(maps)
    got = gate(slices, 6).reshape(2, 6, 10, 4, 5)
    torch.testing.assert_close(got.permute(0, 2, 3, 4, 1), wanted)


def test_single_slice_is_segmented_and_a_short_plane_refused() -> None:
    network = HDenseUNet(3, 1, 2, **SMALL).eval()
    assert network(torch.randn(1, 1, 8, 9, 1)).shape == (1, 2, 8, 9, 1)
    with pytest.raises(ValueError, match="every spatial axis needs at least 8 voxels"):
        network(torch.randn(1, 1, 8, 7, 9))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("branch_2d#blocks", []),
        ("branch_2d#growth", 0),
        ("branch_2d#stem", 0),
        ("branch_2d#decoder", [8]),
        ("branch_3d#blocks", [0]),
        ("branch_3d#growth", 0),
        ("branch_3d#stem", 0),
        ("branch_3d#decoder", [8]),
        ("branch_3d#decoder", [6, 7, 9]),
        ("branch_2d#compression", 2),
        ("branch_3d#bottleneck", 0),
        ("branch_2d#width", 8),
        ("slice_dim", -4),
        ("dropout", 1),
    ],
)
def test_bad_option_is_refused_by_its_name(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^({key}|branch_2d does not have the option) "):
        HDenseUNet(3, 1, 2, **with_options(SMALL, {key: value}))


def test_images_are_refused() -> None:
    with pytest.raises(ValueError, match="spatial_dims must be 3, got 2; DenseUNet segments images"):
        HDenseUNet(2, 1, 2)
