"""Planes of the world through the structures of a label map, sampled from an image and the label map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

AXES = ("sagittal", "coronal", "axial")

SMALLEST_SIDE = 80.0
"""Side length in mm of the planes through a small group, unless the image is smaller."""

PERCENTILES = (1.0, 99.5)
"""Percentiles of a plane that are shown black and white."""

NOTHING = "nothing labeled"


class Volume(NamedTuple):
    """An array ``(D, H, W)`` and the affine ``(4, 4)`` of its voxels in the world, RAS+ in mm."""

    values: np.ndarray
    affine: np.ndarray


class Region(NamedTuple):
    """Center of a group of structures, a voxel of it, and its largest extent along an axis of the world, in mm."""

    center: np.ndarray
    extent: float


class View(NamedTuple):
    """A square in the world, perpendicular to one of its axes; left is left or posterior, up is anterior or superior.

    Attributes:
        axis: the axis, as an index in :data:`AXES`.
        position: place of the square on this axis in mm.
        middle: middle of the square on the two other axes, in increasing order, in mm.
        side: side length in mm.
    """

    axis: int
    position: float
    middle: tuple[float, float]
    side: float


class Plane(NamedTuple):
    """What is seen in a view: ``(pixels, pixels)`` gray values, and the number of the structure from 1, 0 for none."""

    view: View
    gray: np.ndarray
    structures: np.ndarray


def sample_planes(
    image: Volume, labels: Volume, groups: Mapping[str, Mapping[str, int]], *, width: int
) -> dict[str, list[Plane]]:
    """Return, by the title of every group with voxels, its sagittal, coronal and axial plane.

    The fourth plane is the complete coronal plane of the image through the center. It is missing where the second shows
    all of it in every group. Without any labeled voxel, the planes are those through the middle of the image.

    Args:
        image: sampled linearly.
        labels: sampled by nearest neighbor; on any grid.
        groups: value of every structure by its name, by the title of the group; structures are numbered in this order.
        width: pixels of the planes of a group together.
    """
    low, high = _bounds(image)
    size = float((high - low).max())
    found = {title: find_region(labels, list(names.values())) for title, names in groups.items()}
    regions = {title: region for title, region in found.items() if region} or {NOTHING: Region((low + high) / 2, size)}
    sides = {title: min(max(SMALLEST_SIDE, 1.5 * region.extent), size) for title, region in regions.items()}
    coronal = max(high[0] - low[0], high[2] - low[2], *sides.values())
    complete = [(1, float(coronal))] if coronal > min(sides.values()) else []
    rows: dict[str, list[Plane]] = {}
    for title, region in regions.items():
        squares = [*((axis, sides[title]) for axis in range(3)), *complete]
        views = [_view(axis, side, region.center, low, high) for axis, side in squares]
        rows[title] = [_sample(view, image, labels, groups, width // len(views)) for view in views]
    return rows


def find_region(labels: Volume, values: Sequence[int]) -> Region | None:
    """Return the region of the voxels with the values: its center is the voxel that is closest to their centroid.

    The label map is read plane by plane, and only where it is labeled, so that little memory is needed.
    """
    part = _crop_to_labels(labels)
    counts = [np.zeros(size) for size in part.values.shape]
    for index, plane in enumerate(part.values):
        mask = np.isin(plane, values)
        counts[0][index] = mask.sum()
        counts[1] += mask.sum(1)
        counts[2] += mask.sum(0)
    occupied = [np.flatnonzero(count) for count in counts]
    if not occupied[0].size:
        return None
    centroid = np.array([np.average(np.arange(count.size), weights=count) for count in counts])
    corners = _to_world(part.affine, product(*((hits[0] - 0.5, hits[-1] + 0.5) for hits in occupied)))
    center = _to_world(part.affine, [_closest_voxel(part, values, centroid)])[0]
    return Region(center, float(np.ptp(corners, axis=0).max()))


def _crop_to_labels(labels: Volume) -> Volume:
    """Return a view of the smallest box that contains all labeled voxels; of one voxel if there are none."""
    values, start = labels.values, np.zeros(3)
    for axis in range(3):
        hits = np.flatnonzero(values.any(axis=tuple(other for other in range(3) if other != axis)))
        first, last = (hits[0], hits[-1]) if hits.size else (0, 0)
        values = values[(slice(None),) * axis + (slice(first, last + 1),)]
        start[axis] = first
    affine = labels.affine.copy()
    affine[:3, 3] = _to_world(labels.affine, [start])[0]
    return Volume(values, affine)


def _closest_voxel(part: Volume, values: Sequence[int], centroid: np.ndarray) -> np.ndarray:
    """Return the voxel with one of the values that is closest to a point, from the smallest cube that has one."""
    radius = 2
    while True:
        start = np.maximum(np.rint(centroid).astype(int) - radius, 0)
        cube = part.values[tuple(slice(low, low + 2 * radius + 1) for low in start)]
        voxels = np.argwhere(np.isin(cube, values)) + start
        if len(voxels):
            distances = np.linalg.norm((voxels - centroid) @ part.affine[:3, :3].T, axis=1)
            return voxels[distances.argmin()]
        radius *= 2


def _bounds(image: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest world coordinates of a volume, up to the faces of its voxels."""
    corners = _to_world(image.affine, product(*((-0.5, size - 0.5) for size in image.values.shape)))
    return corners.min(0), corners.max(0)


def _view(axis: int, side: float, center: np.ndarray, low: np.ndarray, high: np.ndarray) -> View:
    """Return the square through a point, moved so that it shows as much as possible of the image, from low to high."""
    half = np.minimum(side, high - low) / 2
    across, up = np.delete(np.clip(center, low + half, high - half), axis)
    return View(axis, float(center[axis]), (float(across), float(up)), side)


def _sample(view: View, image: Volume, labels: Volume, groups: Mapping[str, Mapping[str, int]], pixels: int) -> Plane:
    offsets = ((np.arange(pixels) + 0.5) / pixels - 0.5) * view.side
    points: list[Any] = [view.position] * 3
    across, up = (axis for axis in range(3) if axis != view.axis)
    points[across], points[up] = view.middle[0] + offsets[None, :], view.middle[1] - offsets[:, None]
    values = [value for names in groups.values() for value in names.values()]
    return Plane(view, _gray(image, points), _structures(labels, points, values))


def _gray(image: Volume, points: Sequence[Any]) -> np.ndarray:
    places, inside = _to_voxels(image, points)
    sampled = map_coordinates(image.values, places, np.float32, order=1, mode="nearest")
    inside &= np.isfinite(sampled)
    gray = np.zeros(inside.shape, np.uint8)
    if inside.any():
        low, high = np.percentile(sampled[inside], PERCENTILES)
        gray[inside] = ((sampled[inside] - low) / (high - low if high > low else 1)).clip(0, 1) * 255
    return gray


def _structures(labels: Volume, points: Sequence[Any], values: Sequence[int]) -> np.ndarray:
    places, inside = _to_voxels(labels, points)
    last = np.array(labels.values.shape)[:, None, None] - 1
    sampled = labels.values[tuple(np.rint(places).astype(np.intp).clip(0, last))]
    numbers = np.zeros(inside.shape, np.intp)
    for number, value in enumerate(values, 1):
        numbers[inside & (sampled == value)] = number
    return numbers


def _to_voxels(volume: Volume, points: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return voxel coordinates ``(3, H, W)`` of points of the world, and whether they are inside of the volume."""
    inverse = np.linalg.inv(volume.affine)
    places = np.stack([row[0] * points[0] + row[1] * points[1] + row[2] * points[2] + row[3] for row in inverse[:3]])
    last = np.array(volume.values.shape)[:, None, None] - 0.5
    return places, np.all((places >= -0.5) & (places <= last), axis=0)


def _to_world(affine: np.ndarray, voxels: Iterable[Any]) -> np.ndarray:
    return np.array(list(voxels), float) @ affine[:3, :3].T + affine[:3, 3]
