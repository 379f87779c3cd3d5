"""Metrics of the original evaluation of disc labeling, under their original names.

These are the metrics of Rouhier et al., arXiv 2003.04387, as the code of Azad et al., arXiv 2108.06554, computes them:
in pixels of the sagittal plane, each point with the nearest one of the other set, whatever their levels. They are of
little use for labeling: a labeling from foot to head is perfect, neither a point far in front of the spine nor three
predictions of one disc are false positives, and the false positive rate is per reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.utils.lengths import is_above

from .disc_metrics import Points, points_by_level

FALSE_NEGATIVE_PX = 7.0
"""Vertical distance to the nearest prediction above which a reference is a false negative."""
FALSE_POSITIVE_PX = 10.0
"""Vertical distance to the nearest reference above which a prediction is a false positive."""
ORIGINAL_METRICS = ("median_l2_px", "std_l2_px", "mean_z_px", "std_z_px", "FN", "FP", "FNR", "FPR")


@dataclass(frozen=True)
class OriginalErrors:
    """Errors of one exam.

    Attributes:
        l2: distance of every reference to the nearest prediction, in pixels ("DTT"); empty without predictions.
        z: its inferior-superior component.
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
    """Return the errors of the discs of one exam as the original computes them.

    Args:
        pred: predicted discs, world mm.
        reference: reference discs, world mm.
        pixel_mm: size of a pixel of the sagittal plane; the thresholds are in pixels.

    Raises:
        ValueError: when ``pixel_mm`` is not positive, or a level occurs twice.
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
    false_negatives, false_positives = (
        int(is_above(errors, limit).sum()) for errors, limit in ((z, FALSE_NEGATIVE_PX), (z_of_pred, FALSE_POSITIVE_PX))
    )
    return OriginalErrors(distances.min(1), z, len(g), false_negatives, false_positives)


def original_summary(exams: Sequence[OriginalErrors]) -> dict[str, float]:
    """Return the metrics over all points of all exams; statistics without points are NaN."""
    l2 = np.concatenate([np.empty(0), *(exam.l2 for exam in exams)])
    z = np.concatenate([np.empty(0), *(exam.z for exam in exams)])
    references = sum(exam.references for exam in exams)
    false_negatives = sum(exam.false_negatives for exam in exams)
    false_positives = sum(exam.false_positives for exam in exams)
    statistics = (np.median(l2), l2.std(), z.mean(), z.std()) if len(l2) else (math.nan,) * 4
    rates = (false_negatives / references, false_positives / references) if references else (math.nan, math.nan)
    values = (*statistics, false_negatives, false_positives, *rates)
    return {name: float(value) for name, value in zip(ORIGINAL_METRICS, values, strict=True)}
