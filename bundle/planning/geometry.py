"""Voxel size, patch, and strides of the network, from the sizes and voxel sizes of a dataset.

Source: the planner of nnU-Net (Isensee et al. 2021). Spacing and strides follow its rules, along R, A and S. The patch
is limited by voxels instead of by the memory of a GPU, and covers the largest structure where that is affordable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ANISOTROPY = 3.0
"""Ratio of the coarsest voxel size to the others from which an axis is anisotropic."""

THICK = 10
"""Percentile of the voxel sizes along an anisotropic axis that is its target: resampling to thick slices loses less."""

LEAST = 4
"""Least number of voxels per axis at the coarsest level."""

MAX_LEVELS = 5
WIDTHS = (16, 32, 64, 128, 192)
MARGIN = 1.25
"""Size of the patch relative to the extent of the largest structure, where memory allows."""


def target_spacing(spacings: Sequence[Sequence[float]], sizes: Sequence[Sequence[int]]) -> list[float]:
    """Return the voxel size in mm: the median per axis, along an anisotropic axis the 10th percentile.

    Examples:
        >>> target_spacing([[0.8, 0.8, 5.0], [0.8, 0.8, 3.0], [0.8, 0.8, 5.0]], [[512, 512, 40]] * 3)
        [0.8, 0.8, 3.4]
    """
    rows = np.array(spacings, dtype=float)
    target, size = np.median(rows, axis=0), np.median(np.array(sizes, dtype=float), axis=0)
    worst = int(target.argmax())
    others = [axis for axis in range(3) if axis != worst]
    is_coarse = target[worst] > ANISOTROPY * max(target[axis] for axis in others)
    has_few = size[worst] * ANISOTROPY < min(size[axis] for axis in others)
    if is_coarse and has_few:
        chosen = float(np.percentile(rows[:, worst], THICK))
        finest = max(target[axis] for axis in others)
        target[worst] = chosen if chosen >= finest else max(finest, float(rows[:, worst].min())) + 1e-5
    return [round(float(value), 4) for value in target]


def is_anisotropic(spacing: Sequence[float]) -> bool:
    """Return whether the coarsest voxel size is more than three times the finest."""
    return max(spacing) / min(spacing) > ANISOTROPY


def resampled_sizes(
    spacings: Sequence[Sequence[float]], sizes: Sequence[Sequence[int]], target: Sequence[float]
) -> np.ndarray:
    """Return the sizes of all cases in voxels of the target."""
    return np.maximum(np.rint(np.array(sizes) * np.array(spacings) / np.array(target)), 1).astype(int)


def level_strides(patch: Sequence[int], spacing: Sequence[float]) -> list[list[int]]:
    """Return the strides between the levels: an axis is halved while it is long, and about as fine as the finest.

    Examples:
        >>> level_strides([64, 64, 16], [0.8, 0.8, 3.0])
        [[2, 2, 1], [2, 2, 2], [2, 2, 2], [2, 2, 1]]
    """
    size, current = list(patch), list(spacing)
    strides: list[list[int]] = []
    while len(strides) < MAX_LEVELS - 1:
        long = [axis for axis in range(3) if size[axis] >= 2 * LEAST]
        finest = min((current[axis] for axis in long), default=0.0)
        halved = [axis for axis in long if current[axis] / finest < 2]
        if not halved or (len(halved) == 1 and size[halved[0]] < 3 * LEAST):
            break
        steps = [2 if axis in halved else 1 for axis in range(3)]
        strides.append(steps)
        size = [math.ceil(side / step) for side, step in zip(size, steps, strict=True)]
        current = [value * step for value, step in zip(current, steps, strict=True)]
    return strides or [[2 if side > 1 else 1 for side in patch]]


def choose_patch(
    median_size: Sequence[int], spacing: Sequence[float], voxels: int, extents: Sequence[float]
) -> tuple[list[int], list[list[int]]]:
    """Return the patch and the strides: as near to a cube in mm as fits, at most the median image.

    Args:
        median_size: median size of the images in voxels of ``spacing``.
        spacing: voxel size in mm.
        voxels: greatest number of voxels.
        extents: extent in mm per axis that the patch should cover; the axes are shortened where it does not.

    Examples:
        >>> choose_patch([35, 51, 35], [1.0, 1.0, 1.0], 10**6, [20.0, 40.0, 25.0])[0]
        [40, 56, 40]
    """
    size = [float(side) for side in median_size]
    needed = [min(MARGIN * mm / step, side) for mm, step, side in zip(extents, spacing, median_size, strict=True)]
    while True:
        rounded = [max(round(side), 1) for side in size]
        patch, strides = _divisible(rounded, spacing)
        if math.prod(patch) <= voxels or max(size) <= 2 * LEAST:
            return patch, strides
        spare = [axis for axis in range(3) if size[axis] > max(needed[axis], 2 * LEAST)]
        candidates = spare or [axis for axis in range(3) if size[axis] > 2 * LEAST]
        longest = max(candidates, key=lambda axis: size[axis] * spacing[axis])
        size[longest] = max(size[longest] * 0.95 - 0.5, 2.0 * LEAST)


def _divisible(patch: Sequence[int], spacing: Sequence[float]) -> tuple[list[int], list[list[int]]]:
    """Return a patch that every stride divides, and its strides."""
    strides = level_strides(patch, spacing)
    steps = [math.prod(step) for step in zip(*strides, strict=True)]
    return [math.ceil(side / step) * step for side, step in zip(patch, steps, strict=True)], strides


def chance_of_foreground(
    patch: Sequence[int], sizes: np.ndarray, spacing: Sequence[float], structures: Mapping[str, Mapping[str, Any]]
) -> tuple[str, float]:
    """Return the structure that a uniform patch meets least often, and about how often: by the extents of its box."""
    median = np.median(sizes, axis=0)
    chances = {}
    for name, found in structures.items():
        extent = np.array(found["extent_mm"]) / np.array(spacing)
        places = np.maximum(median - np.array(patch), 0) + 1
        meeting = np.minimum((extent + np.array(patch)) / 2, places)
        chances[name] = float(np.prod(np.minimum(meeting / places, 1)))
    return min(chances.items(), key=lambda item: item[1])
