"""Connected components of the structures of a label map, and their share on the border of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keyslice_runtime.utils.components import find_components

LISTED = 10
"""Components whose volumes are listed."""


def measure_components(
    labels: np.ndarray, voxel_mm3: float, label_names: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Return components and border share of every structure.

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
    components = find_components(labels)
    inside = np.zeros(max(label_names.values()) + 1, dtype=np.int64)
    for plane in labels[1:-1]:
        inside += np.bincount(plane[1:-1, 1:-1].ravel(), minlength=len(inside))[: len(inside)]
    found = {}
    for name, value in label_names.items():
        sizes = np.sort(components.sizes[components.labels == value])[::-1]
        total = int(sizes.sum())
        found[name] = {
            "components": len(sizes),
            "component_volumes_mm3": [round(float(size) * voxel_mm3, 3) for size in sizes[:LISTED]],
            "border_share": round((total - int(inside[value])) / total, 4) if total else None,
        }
    return found
