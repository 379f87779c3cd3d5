"""Metrics of segmentations and classifications, and their confidence intervals."""

from functools import partial

from bundle.deprecated_names import deprecated_name

from .bootstrap import format_interval, mean_interval
from .calibration import calibrated, fit_temperature, reliability
from .classification_metrics import (
    BINARY_METRICS,
    balanced_accuracy,
    balanced_accuracy_interval,
    binary_intervals,
    binary_metrics,
    choose_threshold,
    thresholds_by_name,
)
from .image_metrics import IMAGE_METRICS, ImageScores, image_metrics, mean_iou
from .outline import outline_measures
from .ranking import ScoreCounts
from .segmentation_metrics import METRICS, Structures, case_metrics, structure_masks, structure_metrics

__all__ = [
    "BINARY_METRICS",
    "IMAGE_METRICS",
    "METRICS",
    "ImageScores",
    "ScoreCounts",
    "Structures",
    "balanced_accuracy",
    "balanced_accuracy_interval",
    "binary_intervals",
    "binary_metrics",
    "calibrated",
    "case_metrics",
    "choose_threshold",
    "fit_temperature",
    "format_interval",
    "image_metrics",
    "mean_interval",
    "mean_iou",
    "outline_measures",
    "reliability",
    "structure_masks",
    "structure_metrics",
    "thresholds_by_name",
]

__getattr__ = partial(deprecated_name, "metrics")
