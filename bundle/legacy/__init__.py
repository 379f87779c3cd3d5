"""The original project: conversion of its checkpoints, and its metrics."""

from .original_segmentation_metrics import ORIGINAL_SEGMENTATION_METRICS, original_segmentation_metrics

__all__ = [
    "ORIGINAL_SEGMENTATION_METRICS",
    "original_segmentation_metrics",
]
