"""The windows of a volume on which a plan is timed and checked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from monai.data import MetaTensor
from torch.nn import functional

from .windows import slices, window_starts


def sample_windows(inputs: torch.Tensor, roi: Sequence[int], *, skip_constant: bool = False) -> torch.Tensor:
    """Return up to three different windows ``(N, C, *roi)`` of the first image, padded with zeros where it is smaller.

    The first one is in the middle; then come the one with the smallest range of values, background, and the one with
    the largest range.

    Args:
        inputs: images ``(B, C, ...)``.
        roi: size of a window in voxels.
        skip_constant: whether windows of one value are not run, so that the background is the next in order.
    """
    image = _padded(inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs, roi)
    size = image.shape[1:]
    starts = [window_starts(count, length, 0) for count, length in zip(size, roi, strict=True)]
    ranges = {corner: _value_range(image[(slice(None), *slices(corner, roi))]) for corner in itertools.product(*starts)}
    ranges = {corner: value for corner, value in ranges.items() if value > 0 or not skip_constant}
    middle = tuple((count - length) // 2 for count, length in zip(size, roi, strict=True))
    corners = [middle, *(pick(ranges, key=lambda corner: ranges[corner]) for pick in (min, max) if ranges)]
    return torch.stack([image[(slice(None), *slices(corner, roi))] for corner in dict.fromkeys(corners)])


def _padded(inputs: torch.Tensor, roi: Sequence[int]) -> torch.Tensor:
    """Return the first image ``(C, ...)``, at least as large as a window."""
    image, sides = inputs[0].detach(), list[int]()
    for count, length in zip(image.shape[1:], roi, strict=True):
        missing = max(length - count, 0)
        sides = [missing // 2, missing - missing // 2, *sides]
    return functional.pad(image, sides)


def _value_range(window: torch.Tensor) -> float:
    """Return the range of the values of a window ``(C, ...)``, the sum over its channels."""
    low, high = window.flatten(1).aminmax(dim=1)
    return float((high - low).sum())
