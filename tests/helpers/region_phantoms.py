"""Heads with two structures on either side, crops of them, and networks that find and segment these by their values.

Voxels of the front part of a structure are 10, those of its rear part 20; on the right side both are negative.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from helpers.phantoms import write_nifti

AFFINE = np.diag([-0.5, 0.5, 2.0, 1.0])
"""Affine of a head, whose first axis points to the left."""

SHAPE = (80, 80, 24)
CORNERS = {"left": (48, 32, 10), "right": (16, 32, 10)}


class Finder(torch.nn.Module):
    """Class 1 for positive values, class 2 for negative ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([5 - (x - value).abs() for value in (0, 10, -10)], dim=1)


class Segmenter(torch.nn.Module):
    """Class 1 for values around 10, class 2 for those around 20, on either side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([5 - (x.abs() - value).abs() for value in (0, 10, 20)], dim=1)


def structure(shape: tuple[int, int, int], corner: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Return voxels with a box of a size in voxels, in two parts along the second axis."""
    values = np.zeros(shape, np.float32)
    box = tuple(slice(low, low + length) for low, length in zip(corner, size, strict=True))
    values[box] = 10
    middle = corner[1] + size[1] // 2
    values[box[0], slice(corner[1], middle), box[2]] = 20
    return values


def random_size(random: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(low + random.integers(0, 3)) for low in (15, 15, 4))


def write_head(path: Path, seed: int = 0, **sizes: tuple[int, int, int] | None) -> Path:
    """Write a head of 40 x 40 x 48 mm.

    Args:
        path: file to write.
        seed: seed of the sizes and of the noise.
        sizes: size in voxels by side where it is not random; None for a side without its structure.
    """
    random = np.random.default_rng(seed)
    values = random.normal(size=SHAPE).astype(np.float32) * 0.3
    for side, corner in CORNERS.items():
        size, shift = random_size(random), random.integers(-1, 2, 3)
        size = sizes.get(side, size)
        if size is not None:
            part = structure(SHAPE, tuple(np.array(corner) + shift), size)
            values += part if side == "left" else -part
    return write_nifti(path, values, AFFINE)


def write_crop(path: Path, seed: int = 0, size: tuple[int, int, int] | None = None) -> Path:
    """Write a crop of 16 x 16 x 16 mm around a structure of the left side."""
    random = np.random.default_rng(seed)
    shape = (32, 32, 8)
    values = random.normal(size=shape).astype(np.float32) * 0.3
    size, corner = size or random_size(random), tuple(np.array((8, 8, 2)) + random.integers(-1, 2, 3))
    return write_nifti(path, values + structure(shape, corner, size), AFFINE)
