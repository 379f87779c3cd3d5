"""Regions that were found in a volume on a coarse grid, and what is done with their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .largest_component import largest_component
from .result_errors import ImplausibleResultError, NothingFoundError

ROUNDING = 1e-3
"""Largest error of a position that is computed from an affine, in voxels."""


@dataclass(frozen=True)
class Region:
    """A region that was found, or is missing.

    Attributes:
        name: name of the region.
        center_mm: center in world coordinates, mm; None for a region that is missing.
        volume_mm3: volume of its largest connected component on the coarse grid.
        probability: mean probability of the region within it.
        cut: whether it touches the border of the image.
    """

    name: str
    center_mm: tuple[float, ...] | None = None
    volume_mm3: float = 0.0
    probability: float = 0.0
    cut: bool = False

    @property
    def found(self) -> bool:
        """Whether the region is there."""
        return self.center_mm is not None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as they stand in the JSON of a case."""
        if not self.found:
            return {"name": self.name, "found": False}
        finder = {"volume_mm3": self.volume_mm3, "probability": self.probability}
        return {"name": self.name, "found": True, "center_mm": self.center_mm, "cut": self.cut, "finder": finder}


def paddings(size: Sequence[int], divisor: int) -> list[tuple[int, int]]:
    """Return the voxels to add before and after every axis, so that its size is a multiple of ``divisor``."""
    missing = [(-count) % divisor for count in size]
    return [(count // 2, count - count // 2) for count in missing]


def measure_regions(
    probabilities: np.ndarray, affine: np.ndarray, regions: Mapping[str, int], *, min_volume_mm3: float = 0.0
) -> list[Region]:
    """Return the regions, each the largest connected component of its class.

    Args:
        probabilities: of every class, ``(K, D, H, W)``.
        affine: from the voxels to the world in mm.
        regions: class of every region by its name.
        min_volume_mm3: smaller components are none.
    """
    labels = probabilities.argmax(0)
    return [
        _measure_region(name, labels == value, probabilities[value], affine, min_volume_mm3)
        for name, value in regions.items()
    ]


def _measure_region(
    name: str, mask: np.ndarray, probability: np.ndarray, affine: np.ndarray, min_volume_mm3: float
) -> Region:
    component = largest_component(mask)
    points = np.argwhere(component)
    volume = len(points) * abs(float(np.linalg.det(affine[:3, :3])))
    if not len(points) or volume < min_volume_mm3:
        return Region(name)
    center = affine[:3, :3] @ ((points.min(0) + points.max(0)) / 2) + affine[:3, 3]
    return Region(
        name,
        center_mm=tuple(round(float(value), 2) for value in center),
        volume_mm3=round(volume, 1),
        probability=round(float(probability[component].mean()), 4),
        cut=bool((points.min(0) == 0).any() or (points.max(0) == np.array(mask.shape) - 1).any()),
    )


def box_around(
    affine: np.ndarray, shape: Sequence[int], center_mm: Sequence[float], size_mm: Sequence[float]
) -> tuple[slice, ...]:
    """Return the voxels whose centers lie within a box around a point, cut at the border of the image.

    Args:
        affine: from the voxels of the image to the world in mm.
        shape: size of the image.
        center_mm: center in world coordinates.
        size_mm: size of the box along the axes of the image.
    """
    center = np.linalg.solve(affine[:3, :3], np.asarray(center_mm) - affine[:3, 3])
    half = np.asarray(size_mm) / np.linalg.norm(affine[:3, :3], axis=0) / 2
    size = np.array(shape)
    low = np.clip(np.ceil(center - half - ROUNDING), 0, size - 1).astype(int)
    high = np.clip(np.floor(center + half + ROUNDING), 0, size - 1).astype(int) + 1
    return tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))


def raised_labels(values: np.ndarray, offset: int) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box of the labels of a region, and its largest component in it with raised values, int64.

    Args:
        values: label map ``(D, H, W)`` with a labeled voxel.
        offset: summand of the values of its labels.
    """
    box = _bounding_box(values > 0)
    kept = largest_component(values[box] > 0)
    return box, np.where(kept, values[box].astype(np.int64) + offset, 0)


def remarks_on(regions: Sequence[Region]) -> list[str]:
    """Return remarks on regions that are missing or cut, as sentences for the user."""
    missing = [f"{region.name} was not found" for region in regions if not region.found]
    cut = [f"{region.name} touches the border of the image and may be incomplete" for region in regions if region.cut]
    return missing + cut


def not_labeled(region: Region, problem: str) -> str:
    """Return the remark on a region whose result is not plausible."""
    return f"{region.name}: the result is not plausible and is not labeled ({problem})"


def nothing_found(file: str | Path, names: Sequence[str]) -> NothingFoundError:
    """Return the error for an image in which none of the regions was found."""
    words = f"{names[0]} was not found" if len(names) == 1 else f"neither {' nor '.join(names)} was found"
    return NothingFoundError(file, words, "check that the image shows them and that its orientation is right")


def nothing_plausible(file: str | Path, problems: Sequence[str]) -> ImplausibleResultError:
    """Return the error for an image in which no region has a plausible result."""
    return ImplausibleResultError(
        file,
        "; ".join(problems),
        "check that the image shows the structures, its orientation and its contrast; "
        "plausible_distance sets the limit",
    )


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the ranges of the voxels of a mask ``(D, H, W)``."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        found = np.flatnonzero(mask[tuple(box)].any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)
