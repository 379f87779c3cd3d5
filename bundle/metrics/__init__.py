"""Metrics of segmentations and their statistics."""

from .segmentation import METRICS, case_metrics, structure_metrics
from .statistics import mean_interval

__all__ = ["METRICS", "case_metrics", "mean_interval", "structure_metrics"]
