"""Volumes and mean confidences of the structures of a label map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .case_findings import LabelNames, flat_names

Measured = dict[str, dict[str, Any]]


def measure_volumes(
    labels: np.ndarray, voxel_mm3: float, label_names: Mapping[str, int], maps: Mapping[str, np.ndarray]
) -> Measured:
    """Return volume and mean confidence of every structure, plane by plane, which needs little memory.

    Args:
        labels: label map ``(D, H, W)``.
        voxel_mm3: volume of a voxel.
        label_names: value of every structure by its name.
        maps: confidence maps on the same grid, uint8 with 255 for 1, by their names.
    """
    length = max(int(labels.max()), *label_names.values()) + 1
    counts, totals = np.zeros(length, dtype=np.int64), {name: np.zeros(length) for name in maps}
    for index, plane in enumerate(labels):
        counts += np.bincount(plane.ravel(), minlength=length)
        for name, values in maps.items():
            totals[name] += np.bincount(plane.ravel(), values[index].ravel(), minlength=length)
    found = {}
    for name, value in label_names.items():
        voxels = int(counts[value])
        means = {f"mean_{kind}": round(float(of[value] / voxels / 255), 4) for kind, of in totals.items() if voxels}
        found[name] = {"value": value, "voxels": voxels, "volume_mm3": round(voxels * voxel_mm3, 3), **means}
    return found


def compare_regions(measured: Measured, label_names: LabelNames) -> dict[str, Any]:
    """Return the volumes by region, and the asymmetry of two regions.

    The asymmetry of two volumes ``a`` and ``b`` is ``100 (a - b) / ((a + b) / 2)`` percent: positive when the first
    region, such as the left, is larger.

    Args:
        measured: volumes by full names, from :func:`measure_volumes`.
        label_names: values by region and structure.

    Returns:
        ``"volumes_mm3"`` and, for two regions, ``"asymmetry_percent"``, by structure and in total.

    Examples:
        >>> names = {"left": {"anterior": 11}, "right": {"anterior": 21}}
        >>> compare_regions({"left_anterior": {"volume_mm3": 11.0}, "right_anterior": {"volume_mm3": 9.0}}, names)[
        ...     "asymmetry_percent"
        ... ]
        {'anterior': 20.0, 'total': 20.0}
    """
    volumes: dict[str, dict[str, float]] = {}
    for region, structures in label_names.items():
        parts = {name: measured[full]["volume_mm3"] for name, full in _full_names(region, structures).items()}
        volumes[region] = {**parts, "total": round(sum(parts.values()), 3)}
    if len(volumes) != 2:
        return {"volumes_mm3": volumes}
    first, second = volumes.values()
    asymmetry = {name: _asymmetry(volume, second[name]) for name, volume in first.items()}
    return {"volumes_mm3": volumes, "asymmetry_percent": asymmetry}


def _full_names(region: str, structures: Mapping[str, int]) -> dict[str, str]:
    return dict(zip(structures, flat_names({region: dict(structures)}), strict=True))


def _asymmetry(first: float, second: float) -> float | None:
    return round(200 * (first - second) / (first + second), 2) if first + second > 0 else None
