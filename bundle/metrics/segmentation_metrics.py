"""Metrics of one structure in one case: overlap, volume and surface distance.

Names and definitions are the field's. P is the predicted mask, G the reference, I their intersection, U their union;
S(P) and S(G) are their surface voxels; distances are in mm, from a surface voxel of one to the nearest of the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.metrics.utils import get_mask_edges
from scipy.spatial import KDTree

from bundle.utils.label_names import structures_of
from bundle.utils.lengths import is_at_most

METRICS = ("dice", "iou", "hd95_mm", "nsd", "assd_mm", "masd_mm", "voe", "rvd")

VOLUMES = ("volume_mm3", "reference_mm3")
"""Volume of a structure in a prediction and in its reference."""

Structures = Mapping[str, int | Sequence[int]]
"""The label value of every structure by its name, or its label values; structures may overlap."""


def structure_metrics(
    pred: torch.Tensor,
    label: torch.Tensor,
    spacing: Sequence[float],
    *,
    tolerance_mm: float = 1.0,
    unmatched_mm: float | None = None,
) -> dict[str, float]:
    """Compare two masks of one structure.

    Args:
        pred: predicted mask ``(D, H, W)``, boolean.
        label: reference mask of the same shape.
        spacing: voxel size in mm.
        tolerance_mm: distance up to which a surface voxel counts as met, for NSD.
        unmatched_mm: distance to score for a false negative or positive; None leaves it undefined.

    Returns:
        ``dice`` 2I/(P+G); ``iou`` I/U; ``hd95_mm`` the larger of the two directed 95th percentiles; ``nsd`` share of
        S(P) and S(G) within the tolerance; ``assd_mm`` mean distance of the voxels of both
        surfaces together; ``masd_mm`` mean of the two directed mean distances; ``voe`` 1 - I/U; ``rvd`` (P-G)/G,
        negative for too small. What is not defined is NaN: all of them where both masks are empty, the
        distances where one is, ``rvd`` where the reference is. A false negative or positive has dice, iou
        and nsd 0 and voe 1.

    Examples:
        >>> pred, label = torch.zeros(2, 4, 4, 4, dtype=torch.bool)
        >>> pred[1:3, 1:3, 1:3], label[1:3, 1:3, 1:4] = True, True
        >>> found = structure_metrics(pred, label, spacing=[1.0, 1.0, 2.0])
        >>> round(found["dice"], 2), found["hd95_mm"]
        (0.8, 2.0)
    """
    p, g = int(pred.sum()), int(label.sum())
    inter = int((pred & label).sum())
    if p + g == 0:
        return dict.fromkeys(METRICS, math.nan)
    iou, rvd = inter / (p + g - inter), (p - g) / g if g else math.nan
    overlap = {"dice": 2 * inter / (p + g), "iou": iou, "voe": 1 - iou, "rvd": rvd}
    if p == 0 or g == 0:
        distance = math.nan if unmatched_mm is None else float(unmatched_mm)
        return _ordered({**overlap, "hd95_mm": distance, "nsd": 0.0, "assd_mm": distance, "masd_mm": distance})
    to_label, to_pred = surface_distances(pred, label, spacing)
    met = sum(int(is_at_most(distance, tolerance_mm).sum()) for distance in (to_label, to_pred))
    distances = {
        "hd95_mm": max(float(np.percentile(d, 95)) for d in (to_label, to_pred)),
        "nsd": met / (len(to_label) + len(to_pred)),
        "assd_mm": float(np.concatenate([to_label, to_pred]).mean()),
        "masd_mm": float(to_label.mean() + to_pred.mean()) / 2,
    }
    return _ordered({**overlap, **distances})


def case_metrics(
    pred: torch.Tensor,
    label: torch.Tensor,
    label_names: Structures,
    spacing: Sequence[float],
    *,
    tolerance_mm: float = 1.0,
    unmatched_mm: float | None = None,
) -> dict[str, dict[str, float]]:
    """Compare a prediction with its reference structure by structure, see :func:`structure_metrics`.

    Args:
        pred: label map ``(D, H, W)``, or masks ``(C, D, H, W)``, one per structure, which may overlap.
        label: the reference, in either form; voxels of a label map that are negative are ignored.
        label_names: label value, or label values, of every structure by its name.
        spacing: voxel size in mm.
        tolerance_mm: option of :func:`structure_metrics`.
        unmatched_mm: option of :func:`structure_metrics`.

    Raises:
        ValueError: when the two differ in shape, or masks are not as many as the structures.

    Examples:
        >>> label = torch.zeros(4, 4, 4)
        >>> label[:2], label[2:] = 1, 2
        >>> found = case_metrics(label, label, {"left": 1, "both": [1, 2]}, spacing=[1.0, 1.0, 1.0])
        >>> {name: metrics["dice"] for name, metrics in found.items()}
        {'left': 1.0, 'both': 1.0}
    """
    if pred.shape[-3:] != label.shape[-3:]:
        raise ValueError(f"prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ in shape.")
    found, true = compared_masks(pred, label, label_names)
    return {
        name: structure_metrics(found[name], true[name], spacing, tolerance_mm=tolerance_mm, unmatched_mm=unmatched_mm)
        for name in found
    }


def structure_volumes(
    pred: torch.Tensor, label: torch.Tensor, label_names: Structures, voxel_mm3: float
) -> dict[str, dict[str, float]]:
    """Return the volumes of every structure in a prediction and in its reference, in mm3.

    Args:
        pred: as for :func:`case_metrics`.
        label: as for :func:`case_metrics`.
        label_names: as for :func:`case_metrics`.
        voxel_mm3: volume of a voxel.

    Examples:
        >>> label = torch.zeros(4, 4, 4)
        >>> label[:2] = 1
        >>> structure_volumes(label, label, {"left": 1}, voxel_mm3=2.0)
        {'left': {'volume_mm3': 64.0, 'reference_mm3': 64.0}}
    """
    masks = compared_masks(pred, label, label_names)
    return {
        name: {kind: round(int(mask[name].sum()) * voxel_mm3, 3) for kind, mask in zip(VOLUMES, masks, strict=True)}
        for name in masks[0]
    }


def compared_masks(
    pred: torch.Tensor, label: torch.Tensor, label_names: Structures
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the masks of every structure in a prediction and in its reference.

    Voxels that the label map ignores (:data:`bundle.utils.label_names.IGNORED`) are in no mask.

    Args:
        pred: as for :func:`case_metrics`.
        label: as for :func:`case_metrics`.
        label_names: as for :func:`case_metrics`.
    """
    found, true = structure_masks(pred, label_names), structure_masks(label, label_names)
    if label.ndim == 3 and (label < 0).any():
        found = {name: mask & (label >= 0) for name, mask in found.items()}
    return found, true


def structure_masks(values: torch.Tensor, label_names: Structures) -> dict[str, torch.Tensor]:
    """Return the mask ``(D, H, W)`` of every structure.

    Args:
        values: label map ``(D, H, W)``, or masks ``(C, D, H, W)``, one per structure.
        label_names: label value, or label values, of every structure by its name; the background is not one.

    Raises:
        ValueError: when the masks are not as many as the structures, or a structure contains the background.
    """
    label_names = structures_of(label_names)
    if values.ndim == 3:
        return {
            name: torch.isin(values, values.new_tensor([wanted] if isinstance(wanted, int) else list(wanted)))
            for name, wanted in label_names.items()
        }
    if len(values) != len(label_names):
        raise ValueError(f"{len(values)} masks do not fit the {len(label_names)} structures {', '.join(label_names)}.")
    return {name: mask > 0.5 for name, mask in zip(label_names, values, strict=True)}


def surface_distances(
    pred: torch.Tensor, label: torch.Tensor, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of the surface voxels of either mask to the surface of the other, in float64.

    A surface voxel has a face in common with a voxel outside of the mask; the border of the volume counts as outside.
    MONAI's ``get_surface_distance`` gives the same rounded to float32.

    Args:
        pred: predicted mask ``(D, H, W)``, boolean, not empty.
        label: reference mask, not empty.
        spacing: voxel size in mm.
    """
    edges = get_mask_edges(pred, label, always_return_as_numpy=True)
    points = [np.argwhere(edge) * np.asarray(spacing, dtype=float) for edge in edges]
    forth, back = (KDTree(points[1 - i], leafsize=32).query(points[i])[0] for i in (0, 1))
    return forth, back


def _ordered(values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in METRICS}
