"""Positions of sliding windows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Spread = Literal["even", "scan"]


def window_starts(size: int, roi: int, overlap: float, *, spread: Spread = "even") -> list[int]:
    """Return the first voxels of windows of ``roi`` voxels along an axis of ``size`` voxels.

    Args:
        size: voxels of the axis.
        roi: voxels of a window.
        overlap: share of a window that its neighbor covers too, at least, in [0, 1).
        spread: ``"even"`` for equal steps, or ``"scan"`` for those of MONAI's ``sliding_window_inference``, whose last
            window is moved back into the volume.
    """
    if size <= roi:
        return [0]
    if spread == "scan":
        step = max(int(roi * (1 - overlap)), 1)
        return [*range(0, size - roi, step), size - roi]
    step = max(int(roi * (1 - overlap) + 1e-9), 1)
    count = math.ceil((size - roi) / step) + 1
    return [round(index * (size - roi) / (count - 1)) for index in range(count)]


def slab_axis(size: Sequence[int], roi: Sequence[int]) -> int:
    """Return the axis along which windows run so that the scores that are still written to take the least memory."""
    return min(range(len(size)), key=lambda axis: roi[axis] / size[axis])


def corners(starts: Sequence[Sequence[int]], axis: int) -> Iterator[tuple[int, ...]]:
    """Yield the corners of all windows, ``axis`` the slowest and the last axis the fastest."""
    others = [other for other in range(len(starts)) if other != axis]
    for place in itertools.product(starts[axis], *(starts[other] for other in others)):
        corner = dict(zip([axis, *others], place, strict=True))
        yield tuple(corner[number] for number in range(len(starts)))


def slices(corner: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Return the window of ``size`` voxels at ``corner``."""
    return tuple(slice(low, low + length) for low, length in zip(corner, size, strict=True))


def is_constant(window: torch.Tensor) -> bool:
    """Return whether every channel of a window ``(C, ...)`` has one value."""
    low, high = window.flatten(1).aminmax(dim=1)
    return bool((low == high).all())


def subsets(axes: Sequence[int]) -> list[list[int]]:
    """Return all subsets of ``axes``, the empty one first."""
    return [list(some) for count in range(len(axes) + 1) for some in itertools.combinations(axes, count)]


def windowed_inferer(inferer: Any) -> Any:
    """Return an inferer, or the one that it wraps as ``inferer``, that has an ``on_window``; None for none."""
    while inferer is not None and not hasattr(inferer, "on_window"):
        inferer = getattr(inferer, "inferer", None)
    return inferer
