"""Padding of images for networks that halve their maps, and cropping of the output."""

from __future__ import annotations

import torch
from torch.nn import functional


def pad_to_multiple(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Pad ``(B, C, ...)`` with zeros at the far ends, so that every side is a multiple of ``factor``.

    Raises:
        ValueError: when a spatial axis is empty.
    """
    size = list(x.shape[2:])
    if min(size) < 1:
        raise ValueError(f"every spatial axis needs at least 1 voxels, got {size}.")
    padding: list[int] = []
    for side in size[::-1]:
        padding += [0, (factor - side % factor) % factor]
    return functional.pad(x, padding)


def crop_to_image(x: torch.Tensor, size: list[int], stride: int) -> torch.Tensor:
    """Crop a map of a padded image to the image, ``ceil(size / stride)`` cells per axis.

    Args:
        x: map ``(B, C, ...)``.
        size: spatial size of the image before the padding.
        stride: voxels of the image per cell of the map, along an axis.
    """
    for axis, side in enumerate(size):
        x = x.narrow(axis + 2, 0, (side + stride - 1) // stride)
    return x
