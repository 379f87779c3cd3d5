"""U-Net with a branch for shape."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch.nn import functional

from bundle.networks import ShapeUNet
from bundle.networks.shape_unet import LevelMix, ShapeGate, SobelMagnitude


def build(spatial_dims: int = 2, in_channels: int = 1, **options: Any) -> ShapeUNet:
    torch.manual_seed(0)
    return ShapeUNet(spatial_dims, in_channels, 3, **{"channels": [4, 6, 8], "shape_channels": 4, **options})


def image(*size: int, channels: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(3), dtype=dtype)


def literal_sobel(image: torch.Tensor) -> torch.Tensor:
    """Place by place: differences of the two neighbors along an axis, averaged 1:2:1 over the other axes."""
    size, result = image.shape, torch.empty_like(image)
    for place in product(*(range(side) for side in size)):
        squares = 0.0
        for axis in range(len(size)):
            slope = 0.0
            for steps in product((-1, 0, 1), repeat=len(size)):
                weight = steps[axis] / 2
                for other, step in enumerate(steps):
                    weight *= 1.0 if other == axis else (0.5 if step == 0 else 0.25)
                there = (min(max(i + step, 0), side - 1) for i, step, side in zip(place, steps, size, strict=True))
                slope += weight * image[tuple(there)].item()
            squares += slope**2
        result[place] = (squares + 1e-6) ** 0.5
    return result


@pytest.mark.parametrize("size", [(6, 5), (4, 3, 5)])
def test_gradient_is_the_magnitude_of_the_sobel_filter_of_every_channel(size: tuple[int, ...]) -> None:
    x = image(*size, channels=2, dtype=torch.float64)
    sobel = SobelMagnitude(len(size), 2).double()
    expected = torch.stack([torch.stack([literal_sobel(channel) for channel in sample]) for sample in x])
    torch.testing.assert_close(sobel(x), expected, rtol=0, atol=1e-12)


def test_ramp_has_the_gradient_of_its_slope_away_from_the_border() -> None:
    rows = torch.arange(8.0)[:, None].expand(8, 6)
    gradient = SobelMagnitude(2, 1)((3 * rows)[None, None])
    torch.testing.assert_close(gradient[0, 0, 1:-1], torch.full((6, 6), 3.0))


def test_gate_scales_channels_and_voxels_and_adds_the_shape_features() -> None:
    torch.manual_seed(0)
    gate = ShapeGate(2, 6, 4, 2).double()
    x, shape = image(5, 7, channels=6, dtype=torch.float64), image(5, 7, channels=4, dtype=torch.float64)
    fc = gate.channel.channel.fc
    hidden = (x.mean((2, 3)) @ fc[0].weight.T + fc[0].bias).clamp(min=0)
    of_channels = torch.sigmoid(hidden @ fc[2].weight.T + fc[2].bias)[:, :, None, None]
    first, second = gate.spatial[0], gate.spatial[2]
    mean = shape.sum(1, keepdim=True) / 4
    hidden = functional.conv2d(mean, first.weight, first.bias, padding=1).clamp(min=0)
    of_voxels = torch.sigmoid(functional.conv2d(hidden, second.weight, second.bias, padding=1))
    shortcut = torch.einsum("oc,bcij->boij", gate.project.weight[..., 0, 0], shape)
    expected = x * of_channels * of_voxels + shortcut + gate.project.bias[:, None, None]
    torch.testing.assert_close(gate(x, shape), expected, rtol=0, atol=1e-12)


def test_mix_is_the_sigmoid_of_the_weighted_projections_at_the_coarsest_size() -> None:
    torch.manual_seed(0)
    mix = LevelMix(2, [2, 3, 4]).double()
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
    levels = [image(8 >> level, 12 >> level, channels=level + 2, dtype=torch.float64) for level in range(3)]
    total = torch.zeros(2, 4, 2, 3, dtype=torch.float64)
    for weight, level, project in zip((0.5, -1.0, 2.0), levels, mix.projections, strict=True):
        side = level.shape[2] // 2
        blocks = level.reshape(*level.shape[:2], 2, side, 3, side).mean((3, 5))
        projected = torch.einsum("oc,bcij->boij", project.weight[..., 0, 0], blocks) + project.bias[:, None, None]
        total += weight * projected
    torch.testing.assert_close(mix(levels), 1 / (1 + torch.exp(-total)), rtol=0, atol=1e-12)


def test_mix_starts_as_the_mean_of_the_levels() -> None:
    assert LevelMix(2, [2, 3, 4]).weights.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(("stride", "cells"), [(1, (13, 22)), (2, (7, 11)), (4, (4, 6))])
def test_decoder_may_stop_at_a_coarser_level(stride: int, cells: tuple[int, int]) -> None:
    assert build(stride=stride)(image(13, 22)).shape == (2, 3, *cells)


def test_volumes_have_maps_as_well() -> None:
    assert build(3, stride=2)(image(8, 9, 12)).shape == (2, 3, 4, 5, 6)


def test_channels_last_in_memory_stay_so_and_give_the_same_numbers() -> None:
    network, x = build().eval(), image(16, 24)
    expected = network(x)
    network.to(memory_format=torch.channels_last)
    assert network.encoders[1](network.encoders[0](x)).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


def test_decoder_that_stops_early_has_fewer_weights() -> None:
    counts = [sum(value.numel() for value in build(stride=stride).parameters()) for stride in (1, 2, 4)]
    assert counts[0] > counts[1] > counts[2]


def test_flat_image_and_image_with_the_same_mean_differ_by_their_shape() -> None:
    network = build(norm=None).eval()
    flat = torch.zeros(1, 1, 16, 16)
    edged = flat.clone()
    edged[..., 8:] = 1.0
    gradient = network.gradient
    assert gradient(flat).max() < 1e-2
    assert gradient(edged)[..., 7:9].min() > 0.4
    assert not torch.allclose(network(flat), network(edged - 0.5))


def test_every_part_is_reached_by_the_gradient() -> None:
    network = build(reduction=1, norm=("group", {"num_groups": 2}), stride=2)
    network(image(16, 24)).square().mean().backward()
    assert all(value.grad.any() for value in network.parameters())


def test_kernels_of_the_gradient_are_no_weights() -> None:
    assert not [key for key in build().state_dict() if key.startswith("gradient")]


@pytest.mark.parametrize(
    ("option", "value"),
    [("spatial_dims", 1), ("channels", [4]), ("channels", [4, 0]), ("convs", 0), ("shape_channels", 0), ("stride", 8)],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} "):
        build(**{option: value})
