"""Padding of images for networks that halve their maps."""

from __future__ import annotations

import pytest
import torch

from bundle.networks.blocks.padding import crop_to_image, pad_to_multiple


@pytest.mark.parametrize(("size", "padded"), [([8, 16], [8, 16]), ([1, 9], [8, 16]), ([7, 8, 17], [8, 8, 24])])
def test_image_is_padded_with_zeros_after_its_last_voxels(size: list[int], padded: list[int]) -> None:
    x = torch.rand(2, 3, *size) + 1
    y = pad_to_multiple(x, 8)
    inside = tuple(slice(side) for side in size)
    assert list(y.shape) == [2, 3, *padded]
    assert torch.equal(y[(..., *inside)], x)
    assert (y > 0).sum() == x.numel()


def test_empty_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every spatial axis needs at least 1 voxels, got \[4, 0\]"):
        pad_to_multiple(torch.empty(1, 1, 4, 0), 8)


@pytest.mark.parametrize(("stride", "cells"), [(1, [9, 10]), (4, [3, 3]), (8, [2, 2])])
def test_map_is_cropped_to_the_cells_that_touch_the_image(stride: int, cells: list[int]) -> None:
    x = torch.rand(1, 2, 16, 16)
    assert torch.equal(crop_to_image(x, [9, 10], stride), x[:, :, : cells[0], : cells[1]])
