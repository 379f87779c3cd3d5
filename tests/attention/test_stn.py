"""Spatial transformer."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from contracts import literal
from monai.networks.layers import AffineTransform
from scipy import ndimage

from bundle.attention import SpatialTransformer


def build(dims: int, **options: object) -> SpatialTransformer:
    """Return a block in double precision that moves its input by some voxels."""
    torch.manual_seed(0)
    block = SpatialTransformer(dims, 4, **options).double()
    torch.nn.init.normal_(block.head.weight, std=0.05)
    torch.nn.init.normal_(block.head.bias, std=0.3)
    return block


def literal_theta(block: SpatialTransformer, x: torch.Tensor) -> torch.Tensor:
    """Average the features over boxes, as adaptive pooling has them, and map them to an affine map per sample."""
    features = torch.clamp(block.features(x), min=0)
    dims = x.dim() - 2
    spans = [
        [(i * n // block.pool_size, -(-(i + 1) * n // block.pool_size)) for i in range(block.pool_size)]
        for n in features.shape[2:]
    ]
    boxes = [features[(..., *(slice(*span) for span in box))].flatten(2).mean(2) for box in product(*spans)]
    pooled = torch.stack(boxes, dim=2).flatten(1)
    change = pooled @ block.head.weight.T + block.head.bias
    return torch.eye(dims, dims + 1, dtype=x.dtype) + change.reshape(-1, dims, dims + 1)


def literal_sample(image: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Interpolate ``(C, ...)`` linearly at every moved place; nothing is outside of it."""
    size = image.shape[1:]
    voxels = []
    for place in product(*(range(side) for side in size)):
        centres = [(2 * index + 1) / side - 1 for index, side in zip(place, size, strict=True)]
        moved = theta @ torch.tensor([*reversed(centres), 1.0], dtype=image.dtype)
        voxel = [((moved[-1 - axis] + 1) * side - 1) / 2 for axis, side in enumerate(size)]
        total = image.new_zeros(len(image))
        for corner in product(*((int(torch.floor(v)), int(torch.floor(v)) + 1) for v in voxel)):
            if all(0 <= index < side for index, side in zip(corner, size, strict=True)):
                share = torch.stack([1 - (v - index).abs() for v, index in zip(voxel, corner, strict=True)]).prod()
                total = total + share * image[(slice(None), *corner)]
        voxels.append(total)
    return torch.stack(voxels, dim=1).reshape(image.shape)


@pytest.mark.parametrize("dims", [2, 3])
def test_map_is_interpolated_where_the_localization_points(dims: int) -> None:
    block = build(dims, pool_size=2)

    def reference(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [literal_sample(sample, theta) for sample, theta in zip(x, literal_theta(block, x), strict=True)]
        )

    literal.assert_same_function(block, reference, torch.randn(2, 4, *[6, 5, 4][:dims], dtype=torch.float64))


@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("dims", [2, 3])
def test_sampling_is_that_of_monai(dims: int, padding_mode: str) -> None:
    block, x = build(dims, padding_mode=padding_mode), torch.randn(2, 4, *[6, 5, 7][:dims], dtype=torch.float64)
    peer = AffineTransform(normalized=True, reverse_indexing=False, align_corners=False, padding_mode=padding_mode)
    torch.testing.assert_close(block(x), peer(x, block.localize(x)), rtol=0, atol=1e-12)


def test_translation_of_whole_voxels_is_a_shift() -> None:
    block = SpatialTransformer(3, 2).double()
    x = torch.randn(1, 2, 4, 5, 8, dtype=torch.float64)
    with torch.no_grad():
        block.head.bias[3] = 2 * 2 / 8  # two voxels along the last axis, whose coordinates span two units
    shifted = ndimage.shift(x.numpy(), (0, 0, 0, 0, -2), order=1)
    np.testing.assert_allclose(block(x).detach().numpy(), shifted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("size", [[64, 64, 64], [1, 2, 3]])
def test_new_block_returns_its_input(dims: int, size: list[int]) -> None:
    x = torch.randn(1, 4, *size[:dims])
    torch.testing.assert_close(SpatialTransformer(dims, 4)(x), x, rtol=0, atol=1e-4)


def test_coordinates_are_exact_under_autocast() -> None:
    block, x = SpatialTransformer(2, 4), torch.randn(1, 4, 300, 300)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(block(x), x, rtol=0, atol=1e-3)


def test_maps_of_one_axis_are_refused() -> None:
    with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 1"):
        SpatialTransformer(1, 4)
