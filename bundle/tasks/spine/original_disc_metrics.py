"""The numbers that the original evaluation of disc labeling prints, under its own names, beside ours.

They are those of Rouhier et al., arXiv 2003.04387, as the code of Azad et al., arXiv 2108.06554, computes them: in
pixels of the sagittal plane, each point with the nearest of the other side, whatever their levels. They say little
about labeling. A labeling from foot to head is perfect, a point far in front of the spine is no false positive, and
neither are three predictions on one disc; the rate of false positives is per reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .disc_metrics import Points, points_by_level

MISSED_PX = 7.0
INVENTED_PX = 10.0
ORIGINAL_METRICS = ("median_l2_px", "std_l2_px", "mean_z_px", "std_z_px", "FN", "FP", "FNR", "FPR")


@dataclass(frozen=True)
class OriginalErrors:
    """Errors of one exam.

    Attributes:
        l2: distance of every reference to the nearest prediction, in pixels ("DTT"); empty without predictions.
        z: part of it from inferior to superior.
        references: number of references.
        false_negatives: references whose ``z`` is above 7 pixels; all of them without predictions.
        false_positives: predictions whose nearest reference is more than 10 pixels higher or lower; all of them
            without references.
    """

    l2: np.ndarray
    z: np.ndarray
    references: int
    false_negatives: int
    false_positives: int


def original_errors(pred: Points, reference: Points, *, pixel_mm: float = 1.0) -> OriginalErrors:
    """Measure the discs of one exam as the original does.

    Args:
        pred: discs found, world mm.
        reference: discs known, world mm.
        pixel_mm: side of a pixel of the sagittal plane; the thresholds are in pixels.

    Raises:
        ValueError: when ``pixel_mm`` is not positive, or a level stands twice.
    """
    if not pixel_mm > 0:
        raise ValueError(f"pixel_mm must be a positive number of mm, got {pixel_mm}.")
    p, g = (
        np.array([position[1:] for position in points_by_level(points).values()]).reshape(-1, 2) / pixel_mm
        for points in (pred, reference)
    )
    if not len(p) or not len(g):
        return OriginalErrors(np.empty(0), np.empty(0), len(g), len(g), len(p))
    distances = np.linalg.norm(g[:, None] - p[None], axis=-1)
    z = np.abs(g[:, 1] - p[distances.argmin(1), 1])
    z_of_pred = np.abs(p[:, 1] - g[distances.argmin(0), 1])
    missed, invented = int((z > MISSED_PX).sum()), int((z_of_pred > INVENTED_PX).sum())
    return OriginalErrors(distances.min(1), z, len(g), missed, invented)


def original_summary(exams: Sequence[OriginalErrors]) -> dict[str, float]:
    """Return the numbers over all points of all exams; the statistics are NaN where there is none."""
    l2 = np.concatenate([np.empty(0), *(exam.l2 for exam in exams)])
    z = np.concatenate([np.empty(0), *(exam.z for exam in exams)])
    references = sum(exam.references for exam in exams)
    missed = sum(exam.false_negatives for exam in exams)
    invented = sum(exam.false_positives for exam in exams)
    statistics = (np.median(l2), l2.std(), z.mean(), z.std()) if len(l2) else (math.nan,) * 4
    rates = (missed / references, invented / references) if references else (math.nan, math.nan)
    values = (*statistics, missed, invented, *rates)
    return {name: float(value) for name, value in zip(ORIGINAL_METRICS, values, strict=True)}
