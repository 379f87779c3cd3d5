"""Metrics as the original project of the Progressive Attention Module computes them, to compare with its tables.

Source: its evaluation, as described by its code. Overlaps are smoothed, so that a structure that both masks lack counts
as perfectly found; distances are in voxels, whatever their size. Differs from it where it took a missed structure for a
perfect one: a distance to a missed or invented structure, 0 there, and the relative difference to an absent volume, 0
there too, are not defined here.
"""

from __future__ import annotations

import math

import torch

from bundle.metrics.segmentation_metrics import surface_distances

ORIGINAL_SEGMENTATION_METRICS = (
    "original_dice",
    "original_iou",
    "original_voe",
    "original_rvd",
    "original_assd_voxels",
    "original_hd_voxels",
)

SMOOTH = 1e-5


def original_segmentation_metrics(pred: torch.Tensor, label: torch.Tensor) -> dict[str, float]:
    """Compare two masks of one structure by the original's definitions.

    Args:
        pred: predicted mask ``(D, H, W)``, boolean.
        label: reference mask of the same shape.

    Returns:
        With e = 1e-5: ``original_dice`` (2I+e)/(P+G+e); ``original_iou`` (I+e)/(U+e); ``original_voe`` 1 - IoU;
        ``original_rvd`` (P-G+e)/(G+e), NaN where the reference is empty; ``original_assd_voxels``, the mean of the two
        directed mean surface distances, and ``original_hd_voxels``, the Hausdorff distance (called MSD there), in
        voxels, NaN where a mask is empty.
    """
    p, g = int(pred.sum()), int(label.sum())
    inter = int((pred & label).sum())
    iou = (inter + SMOOTH) / (p + g - inter + SMOOTH)
    assd = hausdorff = math.nan
    if p and g:
        forth, back = surface_distances(pred, label, (1.0, 1.0, 1.0))
        assd, hausdorff = float(forth.mean() + back.mean()) / 2, float(max(forth.max(), back.max()))
    values = (
        (2 * inter + SMOOTH) / (p + g + SMOOTH),
        iou,
        1 - iou,
        (p - g + SMOOTH) / (g + SMOOTH) if g else math.nan,
        assd,
        hausdorff,
    )
    return dict(zip(ORIGINAL_SEGMENTATION_METRICS, values, strict=True))
