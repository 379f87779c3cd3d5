"""Metrics of one structure in one case: overlap, volume and surface distance.

Names and definitions are the field's. P is the predicted mask, G the reference, I their intersection, U their union;
S(P) and S(G) are their surface voxels; distances are in mm, from a surface voxel of one to the nearest of the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from monai.metrics.utils import get_mask_edges, get_surface_distance

METRICS = ("dice", "hd95_mm", "nsd", "assd_mm", "voe", "rvd")


def structure_metrics(
    pred: torch.Tensor, label: torch.Tensor, spacing: Sequence[float], *, tolerance_mm: float = 1.0
) -> dict[str, float]:
    """Compare two masks of one structure.

    Args:
        pred: predicted mask ``(D, H, W)``, boolean.
        label: reference mask of the same shape.
        spacing: voxel size in mm.
        tolerance_mm: distance up to which a surface voxel counts as met, for NSD.

    Returns:
        ``dice`` 2I/(P+G); ``hd95_mm`` the larger of the two directed 95th percentiles; ``nsd`` share of S(P) and S(G)
        within the tolerance; ``assd_mm`` mean of the two directed mean distances; ``voe`` 1 - I/U; ``rvd`` (P-G)/G,
        negative for too small. What is not defined is NaN: all of them where both masks are empty, the distances where
        one is, ``rvd`` where the reference is. A structure that was missed or invented has dice 0, nsd 0 and voe 1.
    """
    p, g = int(pred.sum()), int(label.sum())
    inter = int((pred & label).sum())
    if p + g == 0:
        return dict.fromkeys(METRICS, math.nan)
    union = p + g - inter
    overlap = {"dice": 2 * inter / (p + g), "voe": 1 - inter / union, "rvd": (p - g) / g if g else math.nan}
    if p == 0 or g == 0:
        return {"dice": 0.0, "hd95_mm": math.nan, "nsd": 0.0, "assd_mm": math.nan, "voe": 1.0, "rvd": overlap["rvd"]}
    edges = get_mask_edges(pred, label)
    to_label, to_pred = (
        torch.as_tensor(get_surface_distance(a, b, spacing=list(spacing))).double() for a, b in (edges, edges[::-1])
    )
    met = int((to_label <= tolerance_mm).sum()) + int((to_pred <= tolerance_mm).sum())
    return {
        "dice": overlap["dice"],
        "hd95_mm": max(float(torch.quantile(d, 0.95)) for d in (to_label, to_pred)),
        "nsd": met / (to_label.numel() + to_pred.numel()),
        "assd_mm": float(to_label.mean() + to_pred.mean()) / 2,
        "voe": overlap["voe"],
        "rvd": overlap["rvd"],
    }


def case_metrics(
    pred: torch.Tensor,
    label: torch.Tensor,
    label_names: Mapping[str, int],
    spacing: Sequence[float],
    *,
    tolerance_mm: float = 1.0,
) -> dict[str, dict[str, float]]:
    """Compare two label maps ``(D, H, W)`` structure by structure, see :func:`structure_metrics`.

    Raises:
        ValueError: when the label maps differ in shape.
    """
    if pred.shape != label.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ in shape.")
    return {
        name: structure_metrics(pred == value, label == value, spacing, tolerance_mm=tolerance_mm)
        for name, value in label_names.items()
    }
