"""Features of a label map that show whether it is plausible."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .largest_component import largest_component


def result_features(
    labels: np.ndarray, affine: np.ndarray, label_names: Mapping[str, int], *, probability: float
) -> dict[str, float]:
    """Return the features of a result, rounded, see :class:`.FeatureAssembler`.

    Args:
        labels: label map ``(D, H, W)``.
        affine: from its voxels to the world in mm.
        label_names: value of every structure by its name.
        probability: sum of the highest probability over all labeled voxels.
    """
    features = measure_labels(labels, affine, label_names)
    voxels = int((labels > 0).sum())
    if voxels:
        features["confidence"] = probability / voxels
    return {name: round(float(value), 4) for name, value in features.items()}


def measure_labels(labels: np.ndarray, affine: np.ndarray, label_names: Mapping[str, int]) -> dict[str, float]:
    """Return the features of a label map ``(D, H, W)`` without ``confidence``, see :class:`.FeatureAssembler`."""
    steps = affine[:3, :3]
    mask = largest_component(labels > 0)
    inside, values = np.argwhere(mask), labels[mask]
    if not len(inside):
        return {"volume_mm3": 0.0}
    center = inside.mean(0)
    features = {"volume_mm3": len(inside) * abs(float(np.linalg.det(steps)))}
    for name in list(label_names)[:-1]:
        features[f"{name}_share"] = float((values == label_names[name]).mean())
    for name, value in label_names.items():
        points = inside[values == value]
        offset = steps @ (points.mean(0) - center) if len(points) else np.zeros(3)
        features |= {f"{name}_x_mm": abs(offset[0]), f"{name}_y_mm": offset[1], f"{name}_z_mm": offset[2]}
    features["view_share"] = len(inside) / labels.size
    middle = (np.array(labels.shape) - 1) / 2
    features["center_mm"] = float(np.linalg.norm(steps @ (center - middle)))
    return features


def cut_center(labels: np.ndarray, affine: np.ndarray) -> tuple[float, ...] | None:
    """Return the center of the bounding box of the largest component if it touches the border, or else None."""
    inside = np.argwhere(largest_component(labels > 0))
    if not len(inside):
        return None
    low, high = inside.min(0), inside.max(0)
    if (low > 0).all() and (high < np.array(labels.shape) - 1).all():
        return None
    return tuple((affine[:3, :3] @ ((low + high) / 2) + affine[:3, 3]).tolist())
