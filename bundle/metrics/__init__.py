"""Metrics of segmentations, of labeled discs, of pictures and of classifications, and their statistics."""

from .calibration import calibrated, fit_temperature, reliability
from .classification import (
    BINARY_METRICS,
    balanced_accuracy,
    balanced_accuracy_interval,
    binary_intervals,
    binary_metrics,
    choose_threshold,
    thresholds_by_name,
)
from .disc_summary import pooled_interval, summarize_discs
from .discs import DISC_METRICS, LEVEL_METRICS, DiscComparison, compare_discs, match_points
from .original_discs import ORIGINAL_METRICS, OriginalErrors, original_errors, original_summary
from .original_segmentation import ORIGINAL_SEGMENTATION_METRICS, original_segmentation_metrics
from .outline import outline_measures
from .pictures import PICTURE_METRICS, PictureScores, mean_iou, picture_metrics
from .ranking import ScoreCounts
from .segmentation import METRICS, Structures, case_metrics, structure_masks, structure_metrics
from .statistics import mean_interval

__all__ = [
    "BINARY_METRICS",
    "DISC_METRICS",
    "LEVEL_METRICS",
    "METRICS",
    "ORIGINAL_METRICS",
    "ORIGINAL_SEGMENTATION_METRICS",
    "PICTURE_METRICS",
    "DiscComparison",
    "OriginalErrors",
    "PictureScores",
    "ScoreCounts",
    "Structures",
    "balanced_accuracy",
    "balanced_accuracy_interval",
    "binary_intervals",
    "binary_metrics",
    "calibrated",
    "case_metrics",
    "choose_threshold",
    "compare_discs",
    "fit_temperature",
    "match_points",
    "mean_interval",
    "mean_iou",
    "original_errors",
    "original_segmentation_metrics",
    "original_summary",
    "outline_measures",
    "picture_metrics",
    "pooled_interval",
    "reliability",
    "structure_masks",
    "structure_metrics",
    "summarize_discs",
    "thresholds_by_name",
]
