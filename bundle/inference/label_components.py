"""Connected components of the structures of a label map, and their share on the border of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LISTED = 10
"""Components whose volumes are listed."""


def measure_components(
    labels: np.ndarray, voxel_mm3: float, label_names: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Return components and border share of every structure, plane by plane, which needs little memory.

    Args:
        labels: label map ``(D, H, W)``.
        voxel_mm3: volume of a voxel.
        label_names: value of every structure by its name.

    Returns:
        ``"components"``, the number of components of voxels that share a face; ``"component_volumes_mm3"``, the largest
        :data:`LISTED` volumes; ``"border_share"``, the share of the voxels in the outermost planes of the scan.

    Examples:
        >>> labels = np.zeros((4, 4, 4), np.uint8)
        >>> labels[0, 0, 0] = labels[2, 1:3, 1] = 1
        >>> measure_components(labels, 1.0, {"part": 1})["part"]
        {'components': 2, 'component_volumes_mm3': [2.0, 1.0], 'border_share': 0.3333}
    """
    structures = {value: _Structure() for value in label_names.values()}
    largest = max(structures)
    for index, plane in enumerate(labels):
        is_face = index in (0, len(labels) - 1)
        boxes = ndimage.find_objects(plane, max_label=largest)
        for value, structure in structures.items():
            structure.add(None if boxes[value - 1] is None else (plane, value, boxes[value - 1]), is_face)
    return {name: structures[value].numbers(voxel_mm3) for name, value in label_names.items()}


class _Structure:
    """Components of one structure while its planes come; those of neighboring planes that touch are linked."""

    def __init__(self) -> None:
        self.sizes: list[np.ndarray] = [np.zeros(0, np.int64)]
        self.links: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
        self.count = self.on_border = 0
        self.last: tuple[np.ndarray, tuple[slice, slice]] | None = None

    def add(self, found: tuple[np.ndarray, int, tuple[slice, slice]] | None, is_face: bool) -> None:
        """Take a plane, the value of the structure and its box in the plane; None for a plane without it."""
        if found is None:
            self.last = None
            return
        plane, value, box = found
        mask = plane[box] == value
        parts, count = ndimage.label(mask)
        numbers = np.where(mask, parts + self.count, 0)
        self.sizes.append(np.bincount(parts.ravel(), minlength=count + 1)[1:])
        self.count += count
        self.on_border += int(mask.sum()) if is_face else _edge_count(plane, value)
        if self.last is not None:
            self.links.append(_touching(self.last, (numbers, box)))
        self.last = numbers, box

    def numbers(self, voxel_mm3: float) -> dict[str, Any]:
        """Return the entries of the JSON."""
        if not self.count:
            return {"components": 0, "component_volumes_mm3": [], "border_share": None}
        links, sizes = np.concatenate(self.links) - 1, np.concatenate(self.sizes)
        graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(self.count, self.count))
        components, belongs = connected_components(graph, directed=False)
        volumes = np.sort(np.bincount(belongs, sizes, minlength=components))[::-1]
        return {
            "components": int(components),
            "component_volumes_mm3": [round(float(size) * voxel_mm3, 3) for size in volumes[:LISTED]],
            "border_share": round(self.on_border / int(sizes.sum()), 4),
        }


def _edge_count(plane: np.ndarray, value: int) -> int:
    """Return the pixels of a value in the outermost rows and columns of a plane."""
    return int((plane == value).sum()) - int((plane[1:-1, 1:-1] == value).sum())


def _touching(one: tuple[np.ndarray, tuple[slice, slice]], other: tuple[np.ndarray, tuple[slice, slice]]) -> np.ndarray:
    """Return the pairs ``(N, 2)`` of numbers above 0 at the same pixels of two planes, of which boxes are given."""
    pairs = list(zip(one[1], other[1], strict=True))
    starts = [max(a.start, b.start) for a, b in pairs]
    stops = [max(start, min(a.stop, b.stop)) for start, (a, b) in zip(starts, pairs, strict=True)]
    parts = []
    for numbers, box in (one, other):
        shifted = [
            slice(start - each.start, stop - each.start) for start, stop, each in zip(starts, stops, box, strict=True)
        ]
        parts.append(numbers[tuple(shifted)].ravel())
    both = (parts[0] > 0) & (parts[1] > 0)
    return np.unique(np.stack([part[both] for part in parts], axis=1), axis=0)
