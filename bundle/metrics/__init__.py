"""Metrics of segmentations and of labeled discs, and their statistics."""

from .disc_summary import pooled_interval, summarize_discs
from .discs import DISC_METRICS, LEVEL_METRICS, DiscComparison, compare_discs, match_points
from .original_discs import ORIGINAL_METRICS, OriginalErrors, original_errors, original_summary
from .segmentation import METRICS, case_metrics, structure_metrics
from .statistics import mean_interval

__all__ = [
    "DISC_METRICS",
    "LEVEL_METRICS",
    "METRICS",
    "ORIGINAL_METRICS",
    "DiscComparison",
    "OriginalErrors",
    "case_metrics",
    "compare_discs",
    "match_points",
    "mean_interval",
    "original_errors",
    "original_summary",
    "pooled_interval",
    "structure_metrics",
    "summarize_discs",
]
