"""What the JSON of a case has of its label map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .case_findings import LabelNames, flat_names
from .label_components import measure_components
from .label_volumes import compare_regions, measure_volumes


def describe_segmentation(
    labels: np.ndarray,
    spacing: np.ndarray,
    groups: LabelNames,
    *,
    output: Path,
    numbers: Mapping[str, Mapping[str, float]],
    maps: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return file, grid, and volume, components and confidence of every structure; of regions, their volumes, too.

    Args:
        labels: label map ``(D, H, W)``.
        spacing: voxel size in mm.
        groups: values in the label map by region and structure.
        output: file of the label map.
        numbers: confidence of every structure by its full name.
        maps: confidence maps by their names, uint8 with 255 for 1.
    """
    names, voxel_mm3 = flat_names(groups), float(np.prod(spacing))
    components = measure_components(labels, voxel_mm3, names)
    measured = {
        name: {**entry, **components[name], **numbers.get(name, {})}
        for name, entry in measure_volumes(labels, voxel_mm3, names, maps or {}).items()
    }
    return {
        "output": str(output),
        "shape": list(labels.shape),
        "spacing_mm": [round(float(size), 6) for size in spacing],
        "labels": measured,
        **(compare_regions(measured, groups) if "" not in groups else {}),
    }
